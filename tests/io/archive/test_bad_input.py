"""Kinds of bad file, header and folder, each with what a trusted system does - and a good study beside it, unharmed.

Every case starts from a clean CT of P01 (12 slices) and spoils it; P02 is the good neighbour. After each conversion
every file is accounted for exactly once, nothing was written outside the output and no input changed.
"""

import gzip
import hashlib
import json
import os
import struct
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from irae.app.convert import convert_archive
from irae.io.archive import REASONS
from tests.io.archive.made import UID, body_hu, body_suv, series, write

ACCEPT = ("used", "used")


def ct(**tags):
    return series("CT", **tags)


def bad(code):
    return ("quarantined", code)


def fixed(code):
    return ("repaired", code)


def ignored(code):
    return ("ignored", code)


CASES = {}


def case(expected, *, value=True):
    """Registers a way to spoil; ``expected`` is the (outcome, code) of P01's CT series, None where it has no row."""
    def register(spoil):
        CASES[spoil.__name__] = (spoil, expected, value)
        return spoil

    return register


def put(folder, datasets=None, **tags):
    return write(folder / "P01", datasets if datasets is not None else ct(**tags))


def only(k, value):
    """A tag that only slice k has; the others keep None (removed) unless given."""
    return lambda n, k=k: value if n == k else None


# Files -----------------------------------------------------------------------------------------------------------
@case(ACCEPT)
def clean(folder):
    put(folder)


@case(bad("missing_slice"))
def truncated_inside(folder):
    path = put(folder)[5]
    path.write_bytes(path.read_bytes()[:-100])


@case(fixed("slices_unreadable_at_end"), value=False)
def truncated_at_the_end(folder):
    path = put(folder)[11]
    path.write_bytes(path.read_bytes()[:-100])


@case(bad("missing_slice"))
def empty_file_inside(folder):
    put(folder)[5].write_bytes(b"")


@case(bad("missing_slice"))
def garbage_inside(folder):
    put(folder)[5].write_bytes(os.urandom(4000))


@case(bad("missing_slice"))
def garbage_after_magic(folder):
    put(folder)[5].write_bytes(bytes(128) + b"DICM" + bytes(range(256)) * 8)


@case(bad("missing_slice"))
def header_cut(folder):
    path = put(folder)[5]
    path.write_bytes(path.read_bytes()[:700])


@case(bad("missing_slice"))
def length_that_lies(folder):
    path = put(folder)[5]
    data = bytearray(path.read_bytes())
    at = data.find(struct.pack("<HH", 0x0020, 0x000E))
    data[at + 6 : at + 8] = struct.pack("<H", 60000)
    path.write_bytes(bytes(data))


@case(bad("missing_slice"))
def pixel_length_beyond_the_file(folder):
    path = put(folder)[5]
    data = bytearray(path.read_bytes())
    at = data.find(struct.pack("<HH", 0x7FE0, 0x0010))
    path.write_bytes(bytes(data[: at + 8]) + struct.pack("<I", 0x7FFFFFFF) + bytes(10))


@case(bad("missing_slice"))
def no_pixel_data(folder):
    paths = put(folder)
    ds = dcmread(paths[5])
    del ds.PixelData
    ds.save_as(paths[5])


@case(ACCEPT)
def no_preamble(folder):
    for path in put(folder):
        path.write_bytes(path.read_bytes()[132:])


@case(ACCEPT)
def wrong_extension_and_none(folder):
    write(folder / "P01", ct(), names=lambda n: f"slice{n}.txt" if n % 2 else f"IM{n:04d}")


@case(ACCEPT)
def preamble_of_a_program(folder):
    for path in put(folder):
        path.write_bytes(b"MZ" + bytes(126) + path.read_bytes()[128:])


@case(ACCEPT)
def text_beside(folder):
    put(folder)
    (folder / "P01" / "README").write_text("hello")
    (folder / "P01" / "report.pdf").write_bytes(b"%PDF-1.4")
    (folder / "P01" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


@case(ACCEPT)
def deep_tree(folder):
    write(folder.joinpath(*(f"d{n}" for n in range(60)), "P01"), ct())


@case(ACCEPT)
def scattered_over_folders(folder):
    for n, ds in enumerate(ct()):
        write(folder / f"x{n}", [ds])


@case(ACCEPT)
def odd_names(folder):
    write(folder / "P01", ct(), names=lambda n: f"näme {n} ;rm -rf $HOME\n.dcm")


@case(ACCEPT)
def undecodable_names(folder):
    for path in put(folder):
        os.rename(path, os.fsencode(path) + b"\xff\xfe")


@case(ACCEPT)
def links_out_and_around(folder):
    put(folder)
    (folder / "P01" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "P01" / "out.dcm").symlink_to("/etc/passwd")


@case(ACCEPT)
def fifo_beside(folder):
    put(folder)
    os.mkfifo(folder / "P01" / "pipe.dcm")


@case(ACCEPT)
def same_files_twice(folder):
    put(folder)
    write(folder / "again", ct())


@case(bad("missing_slice"))
def same_uid_other_content(folder):
    made = ct()
    put(folder)
    made[4].PixelData = bytes(len(made[4].PixelData))
    write(folder / "again", made[4:5])


# Archives --------------------------------------------------------------------------------------------------------
def zipped(folder, names=None, compression=zipfile.ZIP_DEFLATED):
    paths = put(folder)
    with zipfile.ZipFile(folder / "P01.zip", "w", compression) as archive:
        for n, path in enumerate(paths):
            info = zipfile.ZipInfo(names(n) if names else f"a/b/{path.name}")
            info.compress_type = compression
            archive.writestr(info, path.read_bytes())
            path.unlink()
    return folder / "P01.zip"


@case(ACCEPT)
def zip_of_slices(folder):
    zipped(folder)


@case(ACCEPT)
def zip_in_zip(folder):
    inner = zipped(folder)
    with zipfile.ZipFile(folder / "outer.zip", "w") as archive:
        archive.write(inner, "inner.zip")
    inner.unlink()


@case(None)
def zip_nested_too_deep(folder):
    inner = zipped(folder)
    for depth in range(5):
        outer = folder / f"z{depth}.zip"
        with zipfile.ZipFile(outer, "w") as archive:
            archive.write(inner, "inner.zip")
        inner.unlink()
        inner = outer


@case(bad("missing_slice"))
def zip_slip(folder):
    zipped(folder, names=lambda n: "../../../evil.dcm" if n == 5 else f"s{n}")


@case(bad("missing_slice"))
def zip_absolute(folder):
    zipped(folder, names=lambda n: "/tmp/evil-irae.dcm" if n == 5 else f"s{n}")


@case(bad("missing_slice"))
def zip_drive_letter(folder):
    zipped(folder, names=lambda n: "C:\\evil.dcm" if n == 5 else f"s{n}")


@case(ACCEPT)
def zip_with_a_link(folder):
    path = zipped(folder)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("link.dcm")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")


@case(bad("missing_slice"))
def zip_with_a_broken_member(folder):
    path = zipped(folder, compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.infolist()[5]
    data[member.header_offset + 2000] ^= 0xFF
    path.write_bytes(bytes(data))


@case(None)
def zip_cut(folder):
    path = zipped(folder)
    path.write_bytes(path.read_bytes()[:3000])


@case(None)
def zip_bomb(folder):
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.dcm", bytes(80 * 2**20))


@case(bad("missing_slice"))
def zip_with_a_password(folder):
    path = zipped(folder, compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.infolist()[5]
    central = data.find(b"PK\x01\x02")
    for _ in range(5):
        central = data.find(b"PK\x01\x02", central + 4)
    data[member.header_offset + 6] |= 1
    data[central + 8] |= 1
    path.write_bytes(bytes(data))


@case(ACCEPT)
def zip_with_two_of_one_name(folder):
    path = zipped(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(archive.namelist()[0], b"another")


# Geometry --------------------------------------------------------------------------------------------------------
@case(bad("missing_slice"))
def slice_missing(folder):
    put(folder)[6].unlink()


@case(bad("missing_slice"))
def two_slices_missing(folder):
    paths = put(folder)
    paths[3].unlink()
    paths[4].unlink()


@case(fixed("duplicates_removed"))
def slice_twice_under_two_uids(folder):
    made = ct()
    copy = ct()[4]
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = f"{UID}.77"
    put(folder, [*made, copy])


@case(bad("duplicate_position"))
def two_pictures_of_one_place(folder):
    other = ct()[4]
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = f"{UID}.77"
    other.PixelData = np.roll(np.frombuffer(other.PixelData, "<i2"), 5).tobytes()
    put(folder, [*ct(), other])


@case(ACCEPT)
def two_phases_under_one_series(folder):
    later = ct(AcquisitionNumber=2)
    for k, ds in enumerate(later):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.78.{k}"
    put(folder, ct(AcquisitionNumber=1))
    write(folder / "later", later)


@case(bad("uneven_spacing"))
def uneven(folder):
    made = ct()
    made[5].ImagePositionPatient[2] = float(made[5].ImagePositionPatient[2]) + 3.0
    put(folder, made)


@case(bad("positions_not_on_a_line"))
def one_slice_aside(folder):
    made = ct()
    made[5].ImagePositionPatient[0] = float(made[5].ImagePositionPatient[0]) + 4.0
    put(folder, made)


@case(bad("geometry_missing"))
def no_positions(folder):
    put(folder, ImagePositionPatient=None)


@case(bad("geometry_missing"))
def no_orientation(folder):
    put(folder, ImageOrientationPatient=None)


@case(bad("orientation_invalid"))
def cosines_not_unit(folder):
    put(folder, ImageOrientationPatient=["1", "0", "0", "0", "2", "0"])


@case(bad("orientation_invalid"))
def cosines_not_orthogonal(folder):
    put(folder, ImageOrientationPatient=["1", "0", "0", "0.6", "0.8", "0"])


@case(bad("orientation_invalid"))
def cosines_zero(folder):
    put(folder, ImageOrientationPatient=["0"] * 6)


@case(bad("spacing_invalid"))
def spacing_zero(folder):
    put(folder, PixelSpacing=["0", "0"])


@case(bad("spacing_invalid"))
def spacing_missing(folder):
    put(folder, PixelSpacing=None)


@case(bad("spacing_invalid"))
def spacing_negative(folder):
    put(folder, PixelSpacing=["-1", "1"])


@case(bad("slice_thickness_missing"))
def single_slice_without_thickness(folder):
    put(folder, ct(slices=1, SliceThickness=None))


def raw_text(folder, keyword_bytes, old_length_find, new):
    """Replaces a DS value in every file by a text that pydicom would not write."""
    for path in put(folder):
        data = path.read_bytes()
        at = data.find(keyword_bytes)
        length = struct.unpack_from("<H", data, at + 6)[0]
        value = new.ljust(length)[:length]
        path.write_bytes(data[: at + 8] + value + data[at + 8 + length :])


@case(bad("spacing_invalid"))
def decimal_comma(folder):
    raw_text(folder, struct.pack("<HH", 0x28, 0x30), None, b"8,000000\\7,00000")


@case(bad("geometry_missing"))
def position_not_a_number(folder):
    raw_text(folder, struct.pack("<HH", 0x20, 0x32), None, b"nan\\nan\\nan")


@case(ACCEPT)
def scout_mixed_in(folder):
    scout = series("CT", slices=1, cosines=(0, 1, 0, 0, 0, -1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    scout[0].SOPInstanceUID = scout[0].file_meta.MediaStorageSOPInstanceUID = f"{UID}.79"
    put(folder, [*ct(), *scout])


@case(fixed("files_left_aside"))
def three_plane_scout_mixed_in(folder):
    scouts = [series("CT", slices=1, cosines=c)[0] for c in ((0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1))]
    for n, ds in enumerate(scouts):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.80.{n}"
    put(folder, [*ct(), *scouts])


# Values ----------------------------------------------------------------------------------------------------------
@case(bad("rescale_invalid"))
def slope_zero(folder):
    put(folder, RescaleSlope="0")


@case(bad("rescale_invalid"))
def slope_not_a_number(folder):
    raw_text(folder, struct.pack("<HH", 0x28, 0x1053), None, b"??")


@case(bad("rescale_invalid"))
def intercept_absurd(folder):
    put(folder, RescaleIntercept="1e30")


@case(bad("hu_implausible"))
def slope_a_thousand(folder):
    put(folder, RescaleSlope="1000")


@case(bad("hu_implausible"))
def intercept_forgotten(folder):
    put(folder, RescaleIntercept="0")


@case(fixed("rescale_missing"))
def rescale_missing_but_values_are_hu(folder):
    made = ct(RescaleSlope=None, RescaleIntercept=None)
    for ds in made:
        ds.PixelData = (np.frombuffer(ds.PixelData, "<i2") - 1024).astype("<i2").tobytes()
    put(folder, made)


@case(bad("hu_implausible"))
def rescale_missing_and_values_are_not(folder):
    put(folder, RescaleSlope=None, RescaleIntercept=None)


@case(bad("hu_implausible"))
def intercept_forgotten_beside_padding(folder):
    made = ct(RescaleIntercept="0")
    for ds in made:
        values = np.frombuffer(ds.PixelData, "<i2").reshape(20, 24).copy()
        values[:2] = -2000
        ds.PixelData = values.tobytes()
    put(folder, made)


@case(bad("hu_implausible"))
def all_black(folder):
    put(folder, PixelData=bytes(20 * 24 * 2))


@case(ACCEPT)
def padding_below_air(folder):
    made = ct(PixelPaddingValue=-2000)
    for ds in made:
        values = np.frombuffer(ds.PixelData, "<i2").reshape(20, 24).copy()
        values[:2] = -2000  # outside the reconstruction circle
        ds.PixelData = values.tobytes()
    put(folder, made)


@case(ACCEPT)
def twelve_bits_with_overlay_bits_above(folder):
    made = ct(BitsStored=12, HighBit=11, PixelRepresentation=0)
    for ds in made:
        values = np.frombuffer(ds.PixelData, "<u2").copy()
        values[::3] |= 0x8000
        ds.PixelData = values.tobytes()
    put(folder, made)


@case(bad("pixel_format_unsupported"))
def colour(folder):
    put(folder, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8,
        BitsStored=8, HighBit=7, PixelRepresentation=0, PixelData=bytes(20 * 24 * 3))


@case(bad("pixel_format_unsupported"))
def bits_stored_above_allocated(folder):
    put(folder, BitsStored=20)


# Compression -----------------------------------------------------------------------------------------------------
def compressed(uid, **options):
    def spoil(folder):
        made = ct(rows=40, columns=48, spacing=(4.0, 3.5))
        for ds in made:
            ds.compress(uid, generate_instance_uid=False, **options)
        put(folder, made)

    return spoil


for _uid in (JPEG2000Lossless, JPEGLSLossless, RLELossless):
    _spoil = compressed(_uid)
    _spoil.__name__ = f"compressed_{_uid.keyword}"
    case(ACCEPT)(_spoil)


@case(fixed("lossy_compression"), value=False)
def nearly_lossless(folder):
    made = ct()
    for ds in made:
        ds.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    put(folder, made)


@case(bad("pixels_broken"))
def compressed_damaged(folder):
    made = ct()
    for ds in made:
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    made[5].PixelData = encapsulate([b"\xff\xd8" + bytes(50)])
    put(folder, made)


@case(bad("codec_missing"))
def unknown_transfer_syntax(folder):
    for path in put(folder):
        data = path.read_bytes()
        path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))


@case(bad("pixels_broken"))
def lossy_baseline_of_nothing(folder):
    made = ct(BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    for ds in made:
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.PixelData = encapsulate([bytes(100)])
        ds["PixelData"].is_undefined_length = True
    put(folder, made)


@case(ACCEPT)
def implicit_little_endian(folder):
    made = ct()
    for ds in made:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    put(folder, made)


@case(ACCEPT)
def big_endian(folder):
    made = ct()
    for ds in made:
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
    folder.joinpath("P01").mkdir()
    for n, ds in enumerate(made):
        ds.save_as(folder / "P01" / f"{n}.dcm", implicit_vr=False, little_endian=False, enforce_file_format=True)


def deflate(path, data=None):
    whole = path.read_bytes()
    begin = whole.find(struct.pack("<HH", 8, 8))
    meta = whole[:begin].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    at = meta.find(b"1.2.840.10008.1.2.1.99")
    meta = meta[: at - 2] + struct.pack("<H", 22) + meta[at:]
    length = struct.unpack_from("<I", meta, 140)[0] + 2
    meta = meta[:140] + struct.pack("<I", length) + meta[144:]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta + packer.compress(whole[begin:] if data is None else data) + packer.flush())


@case(ACCEPT)
def deflated(folder):
    for path in put(folder):
        deflate(path)


@case(bad("missing_slice"))
def deflate_bomb(folder):
    deflate(put(folder)[5], bytes(300 * 2**20))


# Identity --------------------------------------------------------------------------------------------------------
@case(fixed("series_uid_missing"))
def no_series_uid(folder):
    put(folder, SeriesInstanceUID=None)


@case(ACCEPT)
def uid_is_a_path(folder):
    put(folder, SeriesInstanceUID="../../../../tmp/evil", StudyInstanceUID="/etc")


@case(ACCEPT)
def no_sop_instance_uid(folder):
    put(folder, SOPInstanceUID="")


@case(bad("date_missing"))
def no_date(folder):
    put(folder, StudyDate="", SeriesDate="", AcquisitionDate="", ContentDate="")


@case(ACCEPT)
def study_date_broken_others_fine(folder):
    put(folder, StudyDate="2026AB14")


@case(bad("missing_slice"))
def series_uid_of_one_slice_lost(folder):
    put(folder, SeriesInstanceUID=lambda k: f"{UID}.66" if k == 5 else f"{UID}.1")


@case(fixed("files_left_aside"), value=False)
def series_uid_of_the_last_slice_lost(folder):
    put(folder, SeriesInstanceUID=lambda k: f"{UID}.66" if k == 11 else f"{UID}.1")


@case(fixed("damaged_files_beside"), value=False)
def last_slice_is_garbage(folder):
    put(folder)[11].write_bytes(os.urandom(4000))


@case(fixed("slices_unreadable_at_end"), value=False)
def last_slice_without_modality(folder):
    image = "1.2.840.10008.5.1.4.1.1.2"
    put(folder, Modality=lambda k: "" if k == 11 else "CT", SOPClassUID=lambda k: "" if k == 11 else image)


@case(fixed("fewer_slices_than_declared"))
def declares_more_slices(folder):
    put(folder, ImagesInAcquisition=20)


@case(bad("identity_contradicts"))
def one_slice_of_another_patient(folder):
    put(folder, PatientID=lambda k: "P01" if k else "P09")


@case(bad("identity_contradicts"))
def study_dates_differ(folder):
    put(folder, StudyDate=lambda k: "20260314" if k else "20260315")


@case(bad("rescale_invalid"))
def one_slice_with_its_own_intercept(folder):
    put(folder, RescaleIntercept=lambda k: "0" if k == 4 else "-1024")


@case(ACCEPT, value=False)
def rescale_differs_and_is_right(folder):
    made = ct(RescaleSlope=lambda k: "2" if k % 2 else "1")
    for ds in made[1::2]:
        values = np.frombuffer(ds.PixelData, "<i2")
        ds.PixelData = (np.round((values - 1024) / 2) * 1 + 512).astype("<i2").tobytes()
    put(folder, made)


@case(bad("missing_slice"))
def one_slice_of_another_size_inside(folder):
    made = ct()
    made[5] = series("CT", rows=10, columns=12)[5]
    put(folder, made)


# What else the folder holds ----------------------------------------------------------------------------------------
@case(ACCEPT)
def localizer_series_beside(folder):
    put(folder)
    write(folder / "loc", series("CT", number=5, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))


@case(ACCEPT)
def thicker_series_beside(folder):
    put(folder)
    write(folder / "thick", series("CT", number=5, slices=3, gap=8.0, SeriesDescription="Thick"))


@case(ACCEPT)
def better_series_beside_is_broken(folder):
    put(folder)
    write(folder / "long", series("CT", number=5, slices=40, RescaleIntercept="0", SeriesDescription="Long but not HU"))


@case(ACCEPT)
def secondary_capture_beside(folder):
    put(folder)
    write(folder / "sc", series("CT", number=5, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))


@case(ACCEPT)
def dicomdir_that_lies(folder):
    put(folder)
    ds = Dataset()
    rows = []
    for parts in (["GONE", "IM1"], ["..", "..", "ETC", "PASSWD"]):
        row = Dataset()
        row.DirectoryRecordType, row.ReferencedFileID = "IMAGE", parts
        rows.append(row)
    ds.DirectoryRecordSequence = Sequence(rows)
    ds.FileSetID = "X"
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.5"
    ds.save_as(folder / "DICOMDIR", enforce_file_format=True)


# NIfTI -----------------------------------------------------------------------------------------------------------
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-78, -78, -98)


def nifti(folder, array=None, name="ct.nii.gz", **header):
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (40, 40, 50)), indexing="ij"), axis=-1)
    values = body_hu(grid @ AFFINE[:3, :3].T + AFFINE[:3, 3]) if array is None else array
    image = nib.Nifti1Image(values.astype(header.pop("dtype", np.int16)), None)
    image.set_sform(header.pop("sform", AFFINE), header.pop("scode", 1))
    image.set_qform(header.pop("qform", AFFINE), header.pop("qcode", 1))
    for word, value in header.items():
        image.header[word] = value
    path = folder / "P01" / "2026-03-14" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


@case(ACCEPT, value=False)
def nifti_layout(folder):
    nifti(folder)


@case(bad("nifti_broken"))
def nifti_cut(folder):
    path = nifti(folder)
    path.write_bytes(path.read_bytes()[:500])


@case(bad("nifti_broken"))
def nifti_crc(folder):
    path = nifti(folder)
    data = bytearray(path.read_bytes())
    data[-6] ^= 0xFF
    path.write_bytes(bytes(data))


@case(bad("nifti_broken"))
def nifti_that_is_text(folder):
    path = nifti(folder)
    path.write_text("not an image")


@case(bad("nifti_geometry"))
def nifti_without_affine(folder):
    nifti(folder, scode=0, qcode=0)


@case(bad("nifti_geometry"))
def nifti_affines_contradict(folder):
    nifti(folder, qform=np.diag([-1.0, 1.0, 1.0, 1.0]) @ AFFINE)


@case(bad("nifti_geometry"))
def nifti_affine_singular(folder):
    nifti(folder, sform=np.diag([4.0, 4.0, 0.0, 1.0]), qcode=0)


@case(bad("nifti_shape"))
def nifti_of_two_volumes(folder):
    nifti(folder, array=np.zeros((20, 20, 20, 2)))


@case(bad("values_not_finite"))
def nifti_with_nan(folder):
    nifti(folder, array=np.full((20, 20, 20), np.nan), dtype=np.float32)


@case(bad("nifti_broken"))
def nifti_declares_gigabytes(folder):
    path = nifti(folder)
    data = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<4h", data, 40, 3, 1500, 1500, 1500)
    path.write_bytes(gzip.compress(bytes(data)))


@case(bad("quantity_contradicts"))
def nifti_named_ct_but_suv(folder):
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (40, 40, 50)), indexing="ij"), axis=-1)
    nifti(folder, array=body_suv(grid @ AFFINE[:3, :3].T + AFFINE[:3, 3]), dtype=np.float32)


@case(bad("quantity_contradicts"))
def nifti_named_ct_but_labels(folder):
    nifti(folder, array=np.indices((20, 20, 20))[0] // 5, dtype=np.uint8)


# ------------------------------------------------------------------------------------------------------------------
def tree(folder):
    """Every regular file below a folder and its content's hash."""
    found = {}
    for here, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(here, name)
            if os.path.islink(path) or not os.path.isfile(path):
                found[path] = b"special"
            else:
                with open(path, "rb") as stream:
                    found[path] = hashlib.sha256(stream.read()).digest()
    return found


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory):
    """The good study beside every bad one, and what it converts to on its own."""
    folder = tmp_path_factory.mktemp("neighbour")
    write(folder / "in" / "P02", series("CT", number=2, patient="P02", SOPInstanceUID=lambda k: f"{UID}.55.{k}"))
    convert_archive(folder / "in", folder / "out")
    return folder / "in" / "P02", (folder / "out" / "P02" / "2026-03-14" / "ct.nii.gz").read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name, tmp_path, neighbour, monkeypatch):
    spoil, expected, value = CASES[name]
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "P02").mkdir(parents=True)
    for path in neighbour[0].iterdir():
        (source / "P02" / path.name).write_bytes(path.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom does not like to write what is wrong
        spoil(source)
    before = tree(source)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = convert_archive(source, out)

    assert tree(source) == before, "the input is untouched"
    assert (out / "P02" / "2026-03-14" / "ct.nii.gz").read_bytes() == neighbour[1], "the neighbour is unharmed"
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out"}, "nothing is left beside the output"
    paths = [row["path"] for row in result["files"]]
    assert len(set(paths)) == len(paths)
    on_disk = {os.path.relpath(path, os.fsencode(source)) for path in before}
    assert len([p for p in paths if ".zip/" not in p and "->" not in p]) >= len(on_disk), "every file has a row"
    assert all(row["code"] in REASONS and row["text"] for row in (*result["files"], *result["series"]))
    assert json.loads((out / "convert.json").read_text()) == result

    main = [row for row in result["series"]
            if row["patient"] == "P01" and row["modality"] in ("CT", "") and (row["output"] or expected != ACCEPT)]
    if expected is None:
        assert not main
        assert any(row["outcome"] == "quarantined" for row in result["files"])
        return
    verdicts = [(row["outcome"], row["code"]) for row in main]
    assert expected in verdicts, (verdicts, [row["text"] for row in main])
    volumes = sorted(out.glob("P01/*/ct.nii.gz"))
    if expected[0] == "quarantined":
        assert not volumes, "what is quarantined is not written"
        return
    assert len(volumes) == 1
    if value:
        assert_right(volumes[0])


def assert_right(path: Path):
    """Every voxel has the value of its place (air and below are equal)."""
    image = nib.load(path)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in image.shape), indexing="ij"), axis=-1)
    expected = body_hu(grid @ image.affine[:3, :3].T + image.affine[:3, 3])
    got = np.asarray(image.dataobj, dtype=np.float64)
    apart = np.abs(np.maximum(got, -1000) - np.maximum(expected, -1000))
    padded = got <= -1024
    assert apart[~padded].max() <= 0.5
    assert (got[expected > -900] > -1000).mean() > 0.9


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_has_a_row(tmp_path):
    write(tmp_path / "in" / "P01", ct())
    closed = tmp_path / "in" / "closed"
    closed.mkdir()
    closed.chmod(0)
    result = convert_archive(tmp_path / "in", tmp_path / "out")
    closed.chmod(0o700)
    assert ("closed", "unreadable") in [(row["path"], row["code"]) for row in result["files"]]


def test_sixty_kinds():
    assert len(CASES) >= 60
    assert sys.getrecursionlimit() >= 1000
