"""De-identification of what leaves: only what is known to be harmless stays, everything else goes.

DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile with the options Retain Longitudinal Temporal
Information with Modified Dates, Retain Patient Characteristics (sex, height, weight: SUV and SUL need them), Clean
Descriptors and Retain Safe Private. The profile lists what to remove; here a table lists what to keep, with the form
each value must have. An attribute nobody thought of is therefore removed, not leaked.

Not done: faces. A head CT or MR can be recognised by its surface; deface it before it leaves.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes as standard
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, UID_dictionary

from irae.core.errors import StudyError
from irae.io.atomic import written_aside

KEY_BYTES = 32
# Dates move back by 1 to 10 years and some days, the same for everything of one patient.
SHIFT_DAYS = (365, 3653)

SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.2.1": "CT", "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.128": "PT", "1.2.840.10008.5.1.4.1.1.130": "PT", "1.2.840.10008.5.1.4.1.1.128.1": "PT",
    "1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.4.1": "MR", "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
}

# --- what is kept, and the form it must have

NUMBERS = frozenset("""
    PatientSize PatientWeight SeriesNumber AcquisitionNumber InstanceNumber NumberOfFrames SliceThickness
    SpacingBetweenSlices SliceLocation KVP RepetitionTime EchoTime InversionTime FlipAngle MagneticFieldStrength
    EchoTrainLength NumberOfAverages ImagingFrequency GantryDetectorTilt TableHeight ReconstructionDiameter
    DataCollectionDiameter Exposure ExposureTime XRayTubeCurrent ActualFrameDuration TriggerTime
    ImagePositionPatient ImageOrientationPatient PixelSpacing ImagerPixelSpacing TemporalPositionIdentifier
    NumberOfTemporalPositions ImagesInAcquisition Rows Columns SamplesPerPixel PlanarConfiguration PixelAspectRatio
    BitsAllocated BitsStored HighBit PixelRepresentation SmallestImagePixelValue LargestImagePixelValue
    PixelPaddingValue PixelPaddingRangeLimit RescaleIntercept RescaleSlope WindowCenter WindowWidth
    LossyImageCompressionRatio NumberOfSlices NumberOfTimeSlices NumberOfRotations NumberOfRRIntervals ImageIndex
    FrameReferenceTime DecayFactor DoseCalibrationFactor ScatterFractionFactor DeadTimeFactor
    PrimaryPromptsCountsAccumulated SecondaryCountsAccumulated SliceSensitivityFactor AxialAcceptance AxialMash
    TransverseMash CoincidenceWindowWidth
    RadionuclideTotalDose RadionuclideHalfLife RadionuclidePositronFraction RadiopharmaceuticalVolume
    RadiopharmaceuticalSpecificActivity EnergyWindowLowerLimit EnergyWindowUpperLimit TableSpeed SpiralPitchFactor
    DimensionIndexValues InStackPositionNumber TemporalPositionIndex FrameAcquisitionNumber FrameAcquisitionDuration
    StackID SegmentNumber ReferencedSegmentNumber ReferencedFrameNumber MaximumFractionalValue
    RecommendedDisplayCIELabValue RealWorldValueSlope RealWorldValueIntercept RealWorldValueFirstValueMapped
    RealWorldValueLastValueMapped DoubleFloatRealWorldValueFirstValueMapped DoubleFloatRealWorldValueLastValueMapped
    DimensionIndexPointer FunctionalGroupPointer EffectiveEchoTime NumberOfPhaseEncodingSteps PercentSampling
    PercentPhaseFieldOfView PixelBandwidth AcquisitionMatrix SAR
""".split())  # noqa: SIM905

WORDS: dict[str, frozenset[str]] = {
    keyword: frozenset(words.split())
    for keyword, words in {
        "SpecificCharacterSet": "ISO_IR 100 192 ISO_IR_100",
        "Modality": "CT PT MR SEG",
        "PatientSex": "M F O",
        "ImageType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER CT_SOM5 SPI REFORMATTED MPR MIP MINIP AVERAGE "
        "PROJECTION OTHER M SE FFE NORM DIS2D DIS3D VOLUME NONE SUBTRACT DYNAMIC STATIC GATED AC NAC ADDITION HELICAL "
        "RESAMPLED RECON WATER FAT IN_PHASE OUT_PHASE MAX_IP MIN_IP MAGNITUDE T1 T2 ND DFOV",
        "FrameType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER VOLUME NONE MPR MAX_IP MIN_IP STATIC DYNAMIC "
        "T1 OTHER",
        "BodyPartExamined": "HEAD NECK CHEST ABDOMEN PELVIS WHOLEBODY BRAIN HEADNECK CHESTABDPELVIS ABDOMENPELVIS "
        "CHESTABDOMEN PITUITARY SELLA THYROID SKULL TSPINE LSPINE EXTREMITY TRUNK COLON LIVER LUNG",
        "ScanningSequence": "SE IR GR EP RM",
        "SequenceVariant": "SK MTC SS TRSS SP MP OSP NONE",
        "ScanOptions": "HELICAL AXIAL MODE FS PFF PFP SAT FC RG CG PPG SP PFS HELIX SPIRAL",
        "MRAcquisitionType": "2D 3D",
        "PatientPosition": "HFS HFP HFDR HFDL FFS FFP FFDR FFDL",
        "PhotometricInterpretation": "MONOCHROME1 MONOCHROME2",
        "LossyImageCompression": "00 01",
        "LossyImageCompressionMethod": "ISO_10918_1 ISO_14495_1 ISO_15444_1",
        "BurnedInAnnotation": "NO",
        "RescaleType": "HU US SUV BQML CNTS",
        "CorrectedImage": "DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM BASELINE BCK UNCOR RANSNG "
        "SLSENS",
        "SeriesType": "STATIC DYNAMIC GATED WHOLE BODY IMAGE REPROJECTION",
        "Units": "CNTS NONE CM2 PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS MLMINML MLML "
        "GML STDDEV",
        "SUVType": "BSA BW LBM LBMJANMA LBMJAMES128 IBW",
        "CountsSource": "EMISSION TRANSMISSION",
        "DecayCorrection": "NONE START ADMIN",
        "DecayCorrected": "YES NO",
        "AttenuationCorrected": "YES NO",
        "RandomsCorrectionMethod": "NONE DLYD SING",
        "CollimatorType": "NONE RING",
        "ReprojectionMethod": "SUM MAX",
        "SegmentationType": "BINARY FRACTIONAL LABELMAP",
        "SegmentationFractionalType": "PROBABILITY OCCUPANCY",
        "SegmentAlgorithmType": "AUTOMATIC SEMIAUTOMATIC MANUAL",
        "SegmentsOverlap": "YES NO UNDEFINED",
        "SpatialLocationsPreserved": "YES NO REORIENTED_ONLY",
        "DimensionOrganizationType": "3D 3D_TEMPORAL TILED_FULL TILED_SPARSE",
        "VolumetricProperties": "VOLUME SAMPLED DISTORTED MIXED",
        "PresentationLUTShape": "IDENTITY INVERSE",
        "PixelPresentation": "MONOCHROME",
        "AcquisitionContrast": "T1 T2 PROTON_DENSITY UNKNOWN FLUID_ATTENUATED",
    }.items()
}

DATES = frozenset({"StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"})
DATETIMES = frozenset({
    "AcquisitionDateTime", "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStopDateTime",
    "DecayCorrectionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime",
})
TIMES = frozenset({
    "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStopTime",
})
UIDS = frozenset({
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ReferencedSOPInstanceUID",
    "SynchronizationFrameOfReferenceUID", "DimensionOrganizationUID", "TrackingUID", "ConcatenationUID",
})
SEQUENCES = frozenset({
    "RadiopharmaceuticalInformationSequence", "RadionuclideCodeSequence", "RadiopharmaceuticalCodeSequence",
    "PatientOrientationCodeSequence", "PatientOrientationModifierCodeSequence", "PatientGantryRelationshipCodeSequence",
    "EnergyWindowRangeSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "FrameContentSequence",
    "PixelValueTransformationSequence", "CTImageFrameTypeSequence", "MRImageFrameTypeSequence",
    "PETFrameTypeSequence", "FrameVOILUTSequence", "DimensionOrganizationSequence", "DimensionIndexSequence",
    "SegmentSequence", "SegmentIdentificationSequence", "SegmentedPropertyCategoryCodeSequence",
    "SegmentedPropertyTypeCodeSequence", "DerivationImageSequence", "SourceImageSequence", "DerivationCodeSequence",
    "PurposeOfReferenceCodeSequence",
    "ReferencedSeriesSequence", "ReferencedInstanceSequence", "RealWorldValueMappingSequence",
    "MeasurementUnitsCodeSequence", "MREchoSequence", "MRTimingAndRelatedParametersSequence", "CTPositionSequence",
})
# Descriptions keep those of their words that say what a series is (Clean Descriptors option).
DESCRIPTIONS = frozenset({
    "SeriesDescription", "ProtocolName", "SegmentLabel", "SequenceName", "ConvolutionKernel", "ContrastBolusAgent",
    "Radiopharmaceutical", "Manufacturer",
})
_VOCABULARY = frozenset("""
    ct pet pt mr mri ac nac wb whole body corrected uncorrected attenuation correction ctac low dose diagnostic ldct
    axial ax sagittal sag coronal cor oblique tra transverse localizer localiser scout topogram surview survey mip minip
    mpr recon reformatted projection subtraction sub fused fusion thin thick standard soft tissue lung bone brain edge
    detail sharp smooth head neck chest thorax abdomen abd pelvis pel pituitary sella hypophysis thyroid t1 t2 t1w t2w
    flair dwi adc swi pd tof perf se tse fse gre spgr mprage vibe space bravo tfe flash dixon fs fat sat post pre gd
    gad contrast ce c ce_t1 iv oral native plain without with venous portal arterial delayed phase 2d 3d static dynamic
    gated wbct wbpet suv raw emission fdg f18 18f fluorodeoxyglucose ga68 68ga dotatate psma siemens healthineers ge
    medical systems philips toshiba canon uih cps cti hitachi liver spleen colon kidney heart aorta stomach bladder
    pancreas spine vertebrae left right organ lesion segment inflammation metastasis physiologic indeterminate
""".split())  # noqa: SIM905
_KERNEL = re.compile(r"(?i)[a-z]{1,2}\d{2}[a-z]?|fc\d{2}|[a-e]|\d{1,2}mm")
_PRIVATE = (  # what SUV needs of the vendors: (group, creator, offset, is a date-time)
    (0x7053, "Philips PET Private Group", 0x00, False),  # SUV scale factor
    (0x7053, "Philips PET Private Group", 0x09, False),  # activity concentration scale factor
    (0x0009, "GEMS_PETD_01", 0x0D, True),  # start of the scan
)
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_DATETIME = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)?([+-]\d{4})?")
_ZONE = re.compile(r"[+-]\d{4}")
_RT_CODE = re.compile(r"[A-Z]-[0-9A-Z]{4,6}")  # SNOMED-RT, as scanners of all ages write it
_METHODS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
    ("113111", "Retain Safe Private Option"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifiedFile:
    """What became of one file. ``source`` may name a person: it stays where the originals are."""

    source: str
    written: str
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Deidentifier:
    """Takes identities away, the same way for everything that is done with the same key.

    Attributes:
        key: The secret. Who has it can recognise a patient whose ID he guesses; nobody else can.

    Raises:
        ValueError: If the key is shorter than 32 bytes.
    """

    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise ValueError(f"a de-identification key needs {KEY_BYTES} bytes, got {len(self.key)}")

    @classmethod
    def from_file(cls, path: Path) -> Deidentifier:
        """The key of a file of hexadecimal digits.

        Raises:
            ValueError: If the file does not hold such a key.
        """
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (UnicodeDecodeError, ValueError) as error:
            need = f"{2 * KEY_BYTES} or more hexadecimal digits"
            raise ValueError(f"{path.name} does not hold a key of {need}") from error

    def _digest(self, *words: str) -> bytes:
        named = "".join(f"{len(word)}:{word}" for word in words)
        return hmac.new(self.key, named.encode(), hashlib.sha256).digest()

    def pseudonym(self, patient_id: str) -> str:
        """The patient's pseudonym: 16 characters that nobody without the key can link to the ID."""
        return "IR" + base64.b32encode(self._digest("patient", patient_id.strip()))[:14].decode()

    def shift_days(self, patient_id: str) -> int:
        """How many days the patient's dates move back; intervals between them stay."""
        first, last = SHIFT_DAYS
        return first + int.from_bytes(self._digest("shift", patient_id.strip())[:8], "big") % (last - first)

    def shifted(self, day: date, patient_id: str) -> date:
        """A date of the patient, moved."""
        return day - timedelta(days=self.shift_days(patient_id))

    def uid(self, uid: str) -> str:
        """The UID that stands for a UID; those of the standard itself stay."""
        if uid in UID_dictionary:
            return uid
        number = int.from_bytes(self._digest("uid", uid)[:16], "big")
        return f"2.25.{number & ~(0xF << 76) & ~(3 << 62) | (5 << 76) | (2 << 62)}"

    def dataset(self, source: Dataset) -> Dataset:
        """A new data set with what may leave; the source is not changed (compressed pixels are decoded in it).

        Raises:
            StudyError: ``deid_unsupported`` (not a CT, PET, MR or SEG image), ``deid_burned_in`` (text in the pixels),
                ``deid_no_uid``, ``deid_no_patient_id``, ``deid_pixels`` (missing, too short or undecodable).
        """
        where = self.uid(str(source.get("SOPInstanceUID", "")))
        kind = str(source.get("SOPClassUID", ""))
        if kind not in SOP_CLASSES:
            known = UID_dictionary[kind][0] if kind in UID_dictionary else "an unknown object"
            raise StudyError(
                "deid_unsupported", f"{known} is not a CT, PET, MR or SEG image: what it may hold is not known",
                where=where,
            )
        if str(source.get("BurnedInAnnotation", "NO")).strip().upper() != "NO":
            raise StudyError("deid_burned_in", "the header says that text is burned into the pixels", where=where)
        nameless = [w for w in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID") if not source.get(w)]
        if nameless:
            raise StudyError("deid_no_uid", f"there is no {', '.join(nameless)}", where=where)
        patient_id = str(source.get("PatientID") or "").strip()
        if not patient_id:
            raise StudyError("deid_no_patient_id", "there is no Patient ID to make a pseudonym of", where=where)
        days = self.shift_days(patient_id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever pydicom thinks of a value: it is checked here
            clean = self._kept(source, days)
            _put_pixels(source, clean, where)
            self._put_private(source, clean, days)
        clean.SOPClassUID = UID(kind)
        clean.Modality = SOP_CLASSES[kind]
        clean.SpecificCharacterSet = "ISO_IR 192"
        clean.PatientID, clean.PatientName, clean.PatientBirthDate = self.pseudonym(patient_id), "", ""
        for keyword in ("PatientSex", "AccessionNumber", "ReferringPhysicianName", "StudyID", "StudyDate", "StudyTime"):
            if keyword not in clean:
                setattr(clean, keyword, "")
        for keyword in ("PositionReferenceIndicator", "Laterality"):  # may not be missing where they were
            if keyword in source:
                setattr(clean, keyword, "")
        if clean.Modality == "SEG":
            _put_dummies(clean)
        clean.PatientIdentityRemoved = "YES"
        clean.DeidentificationMethod = "irae: PS3.15 basic profile, keep list"
        clean.DeidentificationMethodCodeSequence = [_coded(value, "DCM", meaning) for value, meaning in _METHODS]
        clean.LongitudinalTemporalInformationModified = "MODIFIED"
        clean.file_meta = FileMetaDataset()
        clean.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        clean.file_meta.MediaStorageSOPClassUID = UID(kind)
        clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
        return clean

    def file(self, source: Path, folder: Path) -> Path:
        """Writes the de-identified file below a folder, its name made of new UIDs only; returns its path.

        Raises:
            StudyError: See ``dataset``; ``deid_unreadable``.
        """
        try:
            clean = self.dataset(dcmread(source))
        except StudyError:
            raise
        except Exception as error:  # pydicom converts values late and raises anything on damaged ones
            raise StudyError("deid_unreadable", f"a file does not read as DICOM ({type(error).__name__})") from error
        path = folder / str(clean.PatientID) / str(clean.SeriesInstanceUID) / f"{clean.SOPInstanceUID}.dcm"
        with written_aside(path) as aside:
            clean.save_as(aside, enforce_file_format=True)
        return path

    def folder(self, source: Path, out: Path) -> tuple[DeidentifiedFile, ...]:
        """Every regular file below a folder; what is refused is left out and says why. One row for each file."""
        rows = []
        for path in sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink()):
            name = path.relative_to(source).as_posix()
            try:
                written = self.file(path, out)
            except StudyError as refusal:
                rows.append(DeidentifiedFile(source=name, written="", code=refusal.code, text=refusal.text))
            else:
                rows.append(DeidentifiedFile(source=name, written=written.relative_to(out).as_posix()))
        return tuple(rows)

    def _kept(self, source: Dataset, days: int) -> Dataset:
        clean = Dataset()
        for tag in source.keys():  # noqa: SIM118  # a Dataset iterates over elements, not tags
            keyword = keyword_for_tag(tag)
            if not keyword or tag.is_private:
                continue
            try:
                element = source[tag]
                value = self._value(keyword, element, days)
            except Exception:  # noqa: S112  # whatever cannot be read cannot be judged, and goes
                continue
            if value is not None:
                clean.add(DataElement(tag, element.VR, value))
        return clean

    def _value(self, keyword: str, element: DataElement, days: int) -> Any:
        """The value that may stay; None where the attribute goes."""
        if keyword in SEQUENCES and keyword.endswith("CodeSequence"):
            return [self._code(item) for item in element.value]
        if keyword in SEQUENCES:
            return [self._kept(item, days) for item in element.value]
        values = [v for v in _many(element.value) if v is not None and str(v) != ""]
        if keyword == "ReferencedSOPClassUID" or keyword == "SOPClassUID":
            return str(element.value) if str(element.value) in UID_dictionary else None
        for keywords, change in self._changes(days):
            if keyword in keywords:
                changed = [change(str(v).strip()) for v in values]
                return changed if changed and all(v is not None for v in changed) else None
        if keyword in NUMBERS:
            fits = all(isinstance(v, int | float | bytes) or _NUMBER.fullmatch(str(v)) for v in values)
            return element.value if fits and not isinstance(element.value, bytes) else None
        if keyword in WORDS:
            kept = [" ".join(w for w in str(v).upper().split() if w in WORDS[keyword]) for v in values]
            if keyword in ("ImageType", "FrameType"):  # their values count by position
                return [v or "OTHER" for v in kept] or None
            return [v for v in kept if v] or None
        if keyword == "ContrastBolusAgent":
            said = " ".join(str(v) for v in values).strip().lower()
            return "contrast" if said and said not in ("no", "none", "0", "n") else None
        if keyword in DESCRIPTIONS:
            kept = [w for v in values for w in re.split(r"[^A-Za-z0-9_]+", str(v)) if _says_what(w, keyword)]
            return " ".join(kept) or ("segment" if keyword == "SegmentLabel" else None)
        if keyword == "TimezoneOffsetFromUTC":
            return str(element.value) if _ZONE.fullmatch(str(element.value)) else None
        return None

    def _code(self, source: Dataset) -> Dataset:
        """A code that is known, with those of its modifiers that are."""
        code, modifiers = _known_code(source), source.get("SegmentedPropertyTypeModifierCodeSequence")
        if modifiers:
            code.SegmentedPropertyTypeModifierCodeSequence = [self._code(item) for item in modifiers]
        return code

    def _changes(self, days: int) -> Iterator[tuple[frozenset[str], Callable[[str], str | None]]]:
        yield UIDS, self.uid
        yield DATES, lambda text: _moved(text, days)
        yield DATETIMES, lambda text: _moved_time(text, days)
        yield TIMES, lambda text: text if _TIME.fullmatch(text) else None

    def _put_private(self, source: Dataset, clean: Dataset, days: int) -> None:
        for group, creator, offset, is_time in _PRIVATE:
            try:
                value = source.private_block(group, creator)[offset].value
            except KeyError:
                continue
            text = (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip(" \0")
            kept = _moved_time(text, days) if is_time else text if _NUMBER.fullmatch(text) else None
            if kept is not None:
                clean.private_block(group, creator, create=True).add_new(offset, "DT" if is_time else "DS", kept)


def _put_dummies(clean: Dataset) -> None:
    """What a Segmentation may not be without (action D of the profile: a dummy value)."""
    for keyword in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"):
        if keyword not in clean:
            setattr(clean, keyword, "removed")
    clean.ContentLabel, clean.ContentDescription, clean.ContentCreatorName = "SEGMENTATION", "", ""
    for segment in clean.get("SegmentSequence", []):
        if "TrackingUID" in segment:
            segment.TrackingID = str(segment.TrackingUID)
        if segment.get("SegmentAlgorithmType") != "MANUAL":
            segment.SegmentAlgorithmName = "removed"


def make_key_file(path: Path) -> None:
    """Writes a new random key that only its owner can read.

    Raises:
        FileExistsError: If there is a file already: a lost key cannot be had again.
    """
    with open(path, "x", encoding="ascii") as stream:
        path.chmod(0o600)
        stream.write(secrets.token_hex(KEY_BYTES) + "\n")


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def _says_what(word: str, keyword: str) -> bool:
    known = word.lower() in _VOCABULARY
    return known or (keyword == "ConvolutionKernel" and _KERNEL.fullmatch(word) is not None)


def _moved(text: str, days: int) -> str | None:
    try:
        day = date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}") if re.fullmatch(r"\d{8}", text) else None
        return (day - timedelta(days=days)).strftime("%Y%m%d") if day is not None else None
    except (ValueError, OverflowError):
        return None


def _moved_time(text: str, days: int) -> str | None:
    found = _DATETIME.fullmatch(text)
    if found is None:
        return None
    day = _moved(found[1], days)
    return f"{day}{found[2] or ''}{found[3] or ''}" if day is not None else None


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    """Every code of PS3.16 and the shortest of its meanings."""
    found: dict[tuple[str, str], str] = {}
    for scheme in standard.schemes():
        for code in getattr(standard, scheme).concepts.values():
            known = found.get((scheme, code.value))
            if known is None or len(code.meaning) < len(known):
                found[scheme, code.value] = code.meaning
    return found


def _known_code(source: Dataset) -> Dataset:
    """A code of PS3.16 with the standard's own meaning, or a SNOMED-RT code without one; empty if it is neither."""
    value, scheme = str(source.get("CodeValue", "")), str(source.get("CodingSchemeDesignator", ""))
    if (scheme, value) in _meanings():
        return _coded(value, scheme, _meanings()[scheme, value])
    if scheme in ("SRT", "SNM3", "99SDM") and _RT_CODE.fullmatch(value):
        return _coded(value, scheme, value)
    return Dataset()


def _put_pixels(source: Dataset, clean: Dataset, where: str) -> None:
    """Native little-endian pixels of exactly the declared size: no codec comments, no tail, no unused bits."""
    if "PixelData" not in source:
        raise StudyError("deid_pixels", "there are no pixels", where=where)
    syntax = source.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        try:
            source.decompress()
        except Exception as error:  # whatever a codec raises
            reason = f"pixels cannot be decoded ({type(error).__name__})"
            raise StudyError("deid_pixels", reason, where=where) from error
    bits = int(source.BitsAllocated)
    count = int(source.Rows) * int(source.Columns) * int(source.get("SamplesPerPixel", 1))
    count *= int(source.get("NumberOfFrames") or 1)
    size = -(-count * bits // 8)
    data = bytes(source.PixelData)
    if len(data) < size or bits not in (1, 8, 16, 32):
        raise StudyError("deid_pixels", f"{len(data)} bytes of {bits}-bit pixels, {size} are declared", where=where)
    data = data[:size]
    if syntax == ExplicitVRBigEndian and bits > 8:
        data = np.frombuffer(data, dtype=f">u{bits // 8}").astype(f"<u{bits // 8}").tobytes()
    data = _used_bits(data, bits, int(source.get("BitsStored", bits)), int(source.get("HighBit", bits - 1)),
                      signed=int(source.get("PixelRepresentation", 0)) == 1)
    clean.add(DataElement(0x7FE00010, "OW" if bits > 8 else "OB", data + b"\0" * (len(data) % 2)))
    if int(source.get("SamplesPerPixel", 1)) != 1:
        raise StudyError("deid_unsupported", "colour images may be screen captures", where=where)


def _used_bits(data: bytes, bits: int, stored: int, high: int, *, signed: bool) -> bytes:
    """Pixels without what may hide in the bits that are not used (old overlays do)."""
    if bits not in (8, 16) or stored >= bits or high != stored - 1:
        return data
    spare = bits - stored
    values = np.frombuffer(data, dtype=f"<u{bits // 8}") << spare
    if signed:
        return (values.view(f"<i{bits // 8}") >> spare).astype(f"<i{bits // 8}").tobytes()
    return (values >> spare).astype(f"<u{bits // 8}").tobytes()
