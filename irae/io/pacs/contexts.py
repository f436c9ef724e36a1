"""What is negotiated for images: storage classes and transfer syntaxes."""

from __future__ import annotations

from typing import Any

from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RealWorldValueMappingStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

_IMAGES = (
    CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage, MRImageStorage,
    EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, PositronEmissionTomographyImageStorage,
    EnhancedPETImageStorage, LegacyConvertedEnhancedPETImageStorage, SecondaryCaptureImageStorage,
)
_OTHERS = (SegmentationStorage, RTStructureSetStorage, RealWorldValueMappingStorage)
_NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
_COMPRESSED = (
    JPEGLosslessSV1, JPEGLossless, JPEG2000Lossless, JPEG2000, JPEGLSLossless, JPEGLSNearLossless, RLELossless,
    JPEGBaseline8Bit, JPEGExtended12Bit,
)
# Deflated is left out: what it inflates to is known only after it filled the memory.
RECEIVED = [*_NATIVE, *_COMPRESSED]


def offered_for_get() -> list[tuple[str, list[str]]]:
    """Storage class and transfer syntaxes of each context of a C-GET; 128 are allowed in one association.

    One context accepts one syntax, so images get a context for the native ones and one for the compressed ones.
    """
    return [(str(image), [str(s) for s in _NATIVE]) for image in (*_IMAGES, *_OTHERS)] + [
        (str(image), [str(compressed)]) for image in _IMAGES for compressed in _COMPRESSED
    ]


def received_classes() -> list[Any]:
    """Every storage class; what an exam cannot use is said by the index of the archive, not by a refusal."""
    from pynetdicom import AllStoragePresentationContexts

    return [context.abstract_syntax for context in AllStoragePresentationContexts]
