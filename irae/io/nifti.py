"""NIfTI volumes and label maps; written aside, then renamed."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.io.atomic import written_aside

_VOXEL_LIMIT = 2**32
_BYTES_LIMIT = 8 * 2**30
_AFFINES_AGREE_MM = 0.5
_SPACING_MM = (1e-3, 1e3)  # of a person's image; a damaged affine has 1e33
_LEAST_UPRIGHT = 0.3  # volume of the voxel over the product of its edges: 1 upright, 0.3 sheared by 70 degrees


def read_array(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Values (i, j, k) with the file's own scaling, and the grid in RAS+ mm.

    sform is taken where it is set, else qform; if both are set and disagree about any corner by more than 0.5 mm, or
    neither is set, the file is refused.

    Raises:
        StudyError: ``nifti_broken``, ``nifti_shape``, ``nifti_geometry``, ``too_large``.
    """
    import nibabel as nib

    name = path.name
    try:
        data = _whole(path)
        kind = nib.Nifti2Image if data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
        image: Any = kind.from_bytes(data)
        shape = tuple(int(n) for n in image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) == 2:
            shape = (*shape, 1)
        if len(shape) != 3 or min(shape) < 1 or image.header.get_data_dtype().fields is not None:
            raise StudyError("nifti_shape", f"{name}: {image.shape} {image.get_data_dtype()} is not one volume")
        voxels = int(np.prod(shape, dtype=np.float64))
        if voxels > _VOXEL_LIMIT:
            raise StudyError("too_large", f"{name} declares {voxels} voxels; at most {_VOXEL_LIMIT}")
        declared = voxels * image.header.get_data_dtype().itemsize
        if declared > len(data):
            raise StudyError("nifti_broken", f"{name} declares {declared} bytes of voxels and has {len(data)}")
        geometry = _geometry(image, (shape[0], shape[1], shape[2]), name)
        array: NDArray[Any] = np.asanyarray(image.dataobj).reshape(shape)
    except StudyError:
        raise
    except Exception as error:  # ImageFileError, HeaderDataError, zlib.error and what else damaged files raise
        raise StudyError("nifti_broken", f"{name} does not read as NIfTI ({type(error).__name__})") from error
    return array, geometry


def _whole(path: Path) -> bytes:
    """The file's bytes, unpacked, its checksum verified; refused above the limit before memory is taken for it."""
    if not path.name.endswith(".gz"):
        return path.read_bytes()
    with gzip.open(path) as stream:
        data = stream.read(_BYTES_LIMIT)
        if stream.read(1):
            raise StudyError("too_large", f"{path.name} unpacks to more than {_BYTES_LIMIT} bytes")
    return data


def _geometry(image: Any, shape: tuple[int, int, int], name: str) -> Geometry:
    sform, scode = image.get_sform(coded=True)
    qform, qcode = image.get_qform(coded=True)
    affine = sform if scode else qform if qcode else None
    if affine is None:
        raise StudyError("nifti_geometry", f"{name} sets neither sform nor qform: left and right are unknown")
    try:
        geometry = Geometry(shape=shape, affine=affine)
        low, high = min(geometry.spacing_mm), max(geometry.spacing_mm)
        if not _SPACING_MM[0] <= low <= high <= _SPACING_MM[1]:
            raise StudyError("nifti_geometry", f"{name}: voxels of {low:.3g} to {high:.3g} mm")
        if geometry.voxel_volume_ml * 1000.0 < _LEAST_UPRIGHT * float(np.prod(geometry.spacing_mm)):
            raise StudyError("nifti_geometry", f"{name}: its axes are sheared onto each other")
        if scode and qcode:
            other = Geometry(shape=shape, affine=qform)
            apart = float(np.abs(geometry.corners_mm() - other.corners_mm()).max())
            if apart > _AFFINES_AGREE_MM:
                raise StudyError("nifti_geometry", f"{name}: sform and qform disagree by {apart:.1f} mm")
    except ValueError as error:
        raise StudyError("nifti_geometry", f"{name}: the affine is not usable ({error})") from error
    return geometry


def read_volume(path: Path, quantity: Quantity) -> Volume:
    """A NIfTI file as a volume, axes as stored.

    Raises:
        StudyError: As ``read_array``, or ``values_not_finite``.
    """
    array, geometry = read_array(path)
    values = array.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise StudyError("values_not_finite", f"{path.name}: voxels are not finite")
    return Volume(array=values, geometry=geometry, quantity=quantity)


def write_volume(path: Path, volume: Volume) -> None:
    """A volume as NIfTI: float32, or int16 where every value is a whole number that fits (HU)."""
    array: NDArray[Any] = volume.array
    if volume.quantity is Quantity.HU and array.min() >= -32768 and array.max() <= 32767:
        whole = np.rint(array)
        if np.array_equal(whole, array):
            array = whole.astype(np.int16)
    _write(path, array, volume.geometry, description=volume.quantity.value)


def write_labels(path: Path, array: NDArray[Any], geometry: Geometry, names: Mapping[int, str] | None = None) -> None:
    """A label map (i, j, k) of whole numbers as NIfTI uint8 or uint16; names go into a header extension.

    Raises:
        ValueError: If labels do not fit 16 bits or the shape is not the geometry's.
    """
    if array.shape != geometry.shape:
        raise ValueError(f"labels {array.shape} do not fit geometry {geometry.shape}")
    if array.size and (array.min() < 0 or array.max() > 65535):
        raise ValueError(f"labels must be 0 to 65535, got {array.min()} to {array.max()}")
    dtype = np.uint8 if array.dtype == np.uint8 else np.uint16
    _write(path, array.astype(dtype, copy=False), geometry, description="labels", names=names)


def _write(
    path: Path, array: NDArray[Any], geometry: Geometry, *, description: str, names: Mapping[int, str] | None = None
) -> None:
    import nibabel as nib
    from nibabel.nifti1 import Nifti1Extension

    image = nib.Nifti1Image(array, None)
    image.set_sform(geometry.affine, code=1)
    # A sheared affine has no qform; rounding aside, every other has.
    image.set_qform(geometry.affine, code=1, strip_shears=True)
    if not np.allclose(image.get_qform(), geometry.affine, atol=1e-3):
        image.set_qform(None, code=0)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode()[:79]
    if names:
        lines = "\n".join(f"{label} {name}" for label, name in sorted(names.items()))
        image.header.extensions.append(Nifti1Extension("comment", lines.encode()))
    with written_aside(path) as aside:
        nib.save(image, aside)
