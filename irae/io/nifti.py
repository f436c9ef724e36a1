"""NIfTI volumes and label maps; written aside, then renamed."""

from __future__ import annotations

import gzip
import math
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
_CHUNK_VOXELS = 2**19  # few enough that they stay in a processor's cache while they are scaled
_DEFLATE_MOST = 1032  # times: more than this deflate cannot shrink anything
_AFFINES_AGREE_MM = 0.5
_SPACING_MM = (1e-3, 1e3)  # of a person's image; a damaged affine has 1e33
_LEAST_UPRIGHT = 0.3  # volume of the voxel over the product of its edges: 1 upright, 0.3 sheared by 70 degrees


def read_array(path: Path, dtype: type[np.generic] | None = None) -> tuple[NDArray[Any], Geometry]:
    """Values (i, j, k) with the file's own scaling, and the grid in RAS+ mm.

    sform is taken where it is set, else qform; if both are set and disagree about any corner by more than 0.5 mm, or
    neither is set, the file is refused. A packed file is read to its end, so that its checksum is verified.

    Args:
        path: A .nii or .nii.gz file.
        dtype: Of the values; None leaves whole numbers that are not scaled as they are stored and makes all else
            float32. Beside the values themselves reading needs little memory, whatever the file stores.

    Raises:
        StudyError: ``nifti_broken``, ``nifti_shape``, ``nifti_geometry``, ``too_large``.
    """
    name = path.name
    try:
        with gzip.open(path) if name.endswith(".gz") else open(path, "rb") as stream:
            header = _header(stream)
            shape = _shape(header, name)
            geometry = _geometry(header, shape, name)
            _check_size(path, header, shape)
            array = _values(stream, header, shape, dtype)
            while name.endswith(".gz") and stream.read(_CHUNK_VOXELS):
                if stream.tell() > _BYTES_LIMIT:
                    raise StudyError("too_large", f"{name} unpacks to more than {_BYTES_LIMIT} bytes")
    except StudyError:
        raise
    except MemoryError as error:
        raise StudyError("too_large", f"{name} does not fit into memory") from error
    except Exception as error:  # ImageFileError, HeaderDataError, zlib.error and what else damaged files raise
        raise StudyError("nifti_broken", f"{name} does not read as NIfTI ({type(error).__name__})") from error
    return array, geometry


def _header(stream: Any) -> Any:
    """The header; extensions, which may claim any size, are not looked at."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = stream.read(4)
    kind = Nifti2Header if start in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else Nifti1Header
    return kind(start + stream.read(kind.template_dtype.itemsize - 4))


def _shape(header: Any, name: str) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        shape = (*shape, 1)
    stored = header.get_data_dtype()
    if len(shape) != 3 or min(shape) < 1 or stored.kind not in "iuf":
        raise StudyError("nifti_shape", f"{name}: {header.get_data_shape()} {stored} is not one volume")
    return shape[0], shape[1], shape[2]


def _check_size(path: Path, header: Any, shape: tuple[int, int, int]) -> None:
    """Refuses what cannot be there before memory is taken for it."""
    voxels = math.prod(shape)
    declared = voxels * header.get_data_dtype().itemsize
    there = path.stat().st_size * (_DEFLATE_MOST if path.name.endswith(".gz") else 1)
    if voxels > _VOXEL_LIMIT:
        raise StudyError("too_large", f"{path.name} declares {voxels} voxels; at most {_VOXEL_LIMIT}")
    if declared > there:
        raise StudyError("nifti_broken", f"{path.name} declares {declared} bytes of voxels and can hold {there}")


def _values(stream: Any, header: Any, shape: tuple[int, int, int], dtype: type[np.generic] | None) -> NDArray[Any]:
    """The voxels, read and scaled (in float64, as nibabel does) a part at a time."""
    from nibabel.volumeutils import apply_read_scaling

    stored: np.dtype[Any] = header.get_data_dtype()
    slope, intercept = header.get_slope_inter()
    whole = stored.kind in "iu" and (slope, intercept) in ((None, None), (1.0, 0.0))
    kind = np.dtype(dtype) if dtype is not None else stored.newbyteorder("=") if whole else np.dtype(np.float32)
    values = np.empty(math.prod(shape), kind)
    stream.seek(header.get_data_offset())
    buffer = memoryview(bytearray(min(_CHUNK_VOXELS, len(values)) * stored.itemsize))
    done = 0
    while done < len(values):
        part = buffer[: (len(values) - done) * stored.itemsize]
        filled = 0
        while filled < len(part):
            count = stream.readinto(part[filled:])
            if not count:
                raise EOFError
            filled += count
        voxels = apply_read_scaling(np.frombuffer(part, stored), slope, intercept)
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is not finite, and refused for that
            values[done : done + len(voxels)] = voxels
        done += len(voxels)
    return values.reshape(shape, order="F")


def _geometry(header: Any, shape: tuple[int, int, int], name: str) -> Geometry:
    sform, scode = header.get_sform(coded=True)
    qform, qcode = header.get_qform(coded=True)
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
    array, geometry = read_array(path, np.float32)
    if not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise StudyError("values_not_finite", f"{path.name}: voxels are not finite")
    return Volume(array=array, geometry=geometry, quantity=quantity)


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
