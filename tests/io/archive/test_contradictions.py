"""Headers that contradict themselves, each other or their pixels - and a good PET beside them that feels nothing."""

import warnings

import numpy as np
import pytest

from irae.core.exam import Role
from irae.io.archive import ExamUnusableError, index_archive, read_exam
from tests.io.archive.made import UID, body_hu, series, write
from tests.io.archive.test_bad_input import CASES

MIXED = "mixed_series"


def ct(**tags):
    return series("CT", **tags)


def again(made, number):
    """The same slices as instances of their own."""
    for k, ds in enumerate(made):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.5.{number}.{k}"
    return made


def with_pixels(made, k, change):
    values = np.frombuffer(made[k].PixelData, "<i2").reshape(made[k].Rows, made[k].Columns)
    made[k].PixelData = change(values).astype("<i2").tobytes()
    return made


def with_all_pixels(made, change):
    for k in range(len(made)):
        with_pixels(made, k, change)
    return made


def corner(values):
    return np.add.outer(np.arange(values.shape[0]), np.arange(values.shape[1])) < 8


def bone(values):
    """A gradient of bone beside the body: too many different values to be padding."""
    return np.where(np.arange(values.shape[1]) > 20, 2500 + 9 * np.arange(values.shape[0])[:, None], values)


def noise(values):
    return np.random.default_rng(5).integers(0, 2000, values.shape)


def lower_half(first, second):
    return lambda k: first if k < 6 else second


def rolled_again():
    return again([ds for k in range(12) for ds in with_pixels(ct(), k, lambda v: np.roll(v, 3))[k : k + 1]], 1)


# name: (slices, codes that the CT's files may end with; "used" only where the voxels are right)
CONTRADICTIONS = {
    "slope negative": (lambda: ct(RescaleSlope="-1"), {"rescale_invalid"}),
    "slope of two values": (lambda: ct(RescaleSlope=["1", "2"]), {"rescale_invalid"}),
    "slope of one slice doubled": (lambda: ct(RescaleSlope=lambda k: "2" if k == 5 else "1"), {"rescale_invalid"}),
    "intercept of one slice 100 off": (
        lambda: ct(RescaleIntercept=lambda k: "-924" if k == 5 else "-1024"), {"rescale_invalid"}),
    "one instance number for all": (lambda: ct(InstanceNumber=1), {"used"}),
    "slice locations backwards": (lambda: ct(SliceLocation=lambda k: str(-3 * k)), {"used"}),
    "negative spacing between slices": (lambda: ct(SpacingBetweenSlices="-9"), {"used"}),
    "thickness of another scan": (lambda: ct(SliceThickness="20"), {"used"}),
    "every second slice": (lambda: ct()[::2], {"fewer_slices_than_declared"}),
    "half with another pixel spacing": (lambda: ct(PixelSpacing=lower_half(["8", "7"], ["4", "3.5"])), {MIXED}),
    "half in another frame of reference": (lambda: ct(FrameOfReferenceUID=lower_half(f"{UID}.8", f"{UID}.7")), {MIXED}),
    "half turned round": (
        lambda: ct(ImageOrientationPatient=lower_half([1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0])), {MIXED}),
    "half born on another day": (
        lambda: ct(PatientBirthDate=lower_half("19500101", "19700101")), {"identity_contradicts"}),
    "two time points without a sign": (lambda: [*ct(), *rolled_again()], {"duplicate_position"}),
    "all at one place": (lambda: ct(ImagePositionPatient=["0", "0", "0"]), {"duplicate_position"}),
    "imager spacing only": (lambda: ct(PixelSpacing=None, ImagerPixelSpacing=["8", "7"]), {"spacing_invalid"}),
    "three pixel spacings": (lambda: ct(PixelSpacing=["8", "7", "1"]), {"spacing_invalid"}),
    "high bit below the stored bits": (
        lambda: ct(BitsStored=12, HighBit=10, PixelRepresentation=0), {"pixel_format_unsupported"}),
    "high bit beyond": (lambda: ct(HighBit=16), {"pixel_format_unsupported"}),
    "twelve bits that end at the top": (
        lambda: ct(BitsStored=12, HighBit=15, PixelRepresentation=0), {"hu_implausible"}),
    "eight bits of sixteen": (
        lambda: ct(BitsStored=8, HighBit=7, PixelRepresentation=0), {"pixel_format_unsupported"}),
    "pixels beyond twelve bits": (
        lambda: with_all_pixels(ct(RescaleSlope="0.25", BitsStored=12, HighBit=11, PixelRepresentation=0),
                                lambda v: 4 * v.astype(np.int64) + 3072), {"pixel_format_unsupported"}),
    "signed pixels beyond twelve bits": (
        lambda: with_all_pixels(ct(RescaleIntercept="0", BitsStored=12, HighBit=11, RescaleSlope="0.25"),
                                lambda v: 4 * (v.astype(np.int64) - 1024)), {"pixel_format_unsupported"}),
    "padding beyond twelve bits": (
        lambda: with_all_pixels(ct(BitsStored=12, HighBit=11, PixelRepresentation=0),
                                lambda v: np.where(corner(v), -2000, v)), {"pixel_format_unsupported"}),
    "bytes of each pixel exchanged": (
        lambda: with_all_pixels(ct(BitsStored=12, HighBit=11, PixelRepresentation=0), lambda v: v.byteswap()),
        {"pixel_format_unsupported"}),
    "unsigned pixels called signed": (
        lambda: with_all_pixels(ct(BitsStored=12, HighBit=11), lambda v: bone(v) & 0xFFF), {"hu_implausible"}),
    "one slice noise": (lambda: with_pixels(ct(), 5, noise), {"pixels_broken"}),
    "one slice cut": (
        lambda: with_pixels(ct(), 5, lambda v: np.where(np.arange(20)[:, None] < 9, v, 0)), {"pixels_broken"}),
    "half of another sex": (lambda: ct(PatientSex=lower_half("F", "M")), {"identity_contradicts"}),
    "fewer rows than pixels": (lambda: ct(Rows=10), {"pixels_broken"}),
    "more rows than pixels": (lambda: ct(Rows=40), {"truncated"}),
    "rows and columns exchanged": (lambda: ct(Rows=24, Columns=20), {"pixels_broken"}),
    "two frames declared": (lambda: ct(NumberOfFrames=2), {"truncated"}),
    "one slice empty": (lambda: with_pixels(ct(), 5, np.zeros_like), {"blank_slice"}),
    "palette": (lambda: ct(PhotometricInterpretation="PALETTE COLOR"), {"pixel_format_unsupported"}),
    "optical density": (lambda: ct(RescaleType="OD"), {"derived_image"}),
    "writing burned in": (lambda: ct(BurnedInAnnotation="YES"), {"derived_image"}),
    "a CT that says it is an MR": (
        lambda: ct(Modality="MR", SeriesDescription="T1 brain post Gd"), {"modality_contradicts"}),
    "monochrome 1": (lambda: ct(PhotometricInterpretation="MONOCHROME1"), {"used"}),
}


def read_all(folder, scratch):
    """(volumes by role, codes of the CT-like files, PET origin) of an archive of one exam."""
    index = index_archive(folder, scratch=scratch)
    codes = {row.path: row.code for row in index.files}
    (exam,) = [exam for exam in index.exams if exam.patient == "P01"]
    try:
        read = read_exam(exam)
    except ExamUnusableError as error:
        codes.update({row.path: row.code for row in error.outcomes})
        return {}, codes
    codes.update({row.path: row.code for row in read.outcomes})
    return read.exam.volumes, codes


@pytest.fixture(scope="module")
def pet(tmp_path_factory):
    """A good PET of P01, and what is read of it alone."""
    folder = tmp_path_factory.mktemp("pet")
    write(folder / "in" / "pt", series("PT", number=2))
    volumes, _ = read_all(folder / "in", folder / "scratch")
    return folder / "in" / "pt", volumes[Role.PET]


def beside_the_pet(tmp_path, pet, spoil):
    """What is read where the spoiled files lie beside the good PET; the PET must not feel it."""
    (tmp_path / "in" / "pt").mkdir(parents=True)
    for path in pet[0].iterdir():
        (tmp_path / "in" / "pt" / path.name).write_bytes(path.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom does not like to write what is wrong
        spoil(tmp_path / "in")
    volumes, codes = read_all(tmp_path / "in", tmp_path / "scratch")
    assert volumes[Role.PET].array.tobytes() == pet[1].array.tobytes()
    np.testing.assert_array_equal(volumes[Role.PET].geometry.affine, pet[1].geometry.affine)
    assert {codes[name] for name in codes if name.startswith("pt/")} == {"used"}
    return volumes, codes


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradiction(name, tmp_path, pet):
    make, expected = CONTRADICTIONS[name]
    volumes, codes = beside_the_pet(tmp_path, pet, lambda folder: write(folder / "ct", make()))
    found = {code for path, code in codes.items() if path.startswith("ct/")}
    assert found == expected
    if Role.CT in volumes:
        ct_volume = volumes[Role.CT]
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in ct_volume.array.shape), indexing="ij"), axis=-1)
        truth = body_hu(ct_volume.geometry.to_world(grid.reshape(-1, 3)).reshape(grid.shape))
        assert np.abs(np.maximum(ct_volume.array, -1000) - truth).max() <= 0.5
    else:
        assert expected & {"used", "fewer_slices_than_declared"} == set()


@pytest.mark.parametrize("name", CASES)
def test_no_bad_series_changes_another_of_its_exam(name, tmp_path, pet):
    beside_the_pet(tmp_path, pet, CASES[name][0])


@pytest.mark.parametrize(("made", "code"), [
    (lambda: [ds for t in range(3) for ds in again(series("PT", FrameReferenceTime=str(60000 * t)), t)],
     "pet_dynamic_or_gated"),
    (lambda: series("PT", SeriesType=["DYNAMIC", "IMAGE"]), "pet_dynamic_or_gated"),
    (lambda: series("PT", CorrectedImage=lower_half(["ATTN", "DECY"], ["DECY"])), "suv_header_contradicts"),
    (lambda: [*series("PT"), *again(series("PT", CorrectedImage=["DECY"]), 1)], "suv_header_contradicts"),
    (lambda: series("PT", RescaleSlope=lambda k: "6" if k == 5 else "0.5"), "suv_implausible"),
    (lambda: series("PT", PatientWeight="70000"), "suv_weight_absurd"),
    (lambda: series("PT", SeriesType=["WHOLE BODY", "REPROJECTION"]), "derived_image"),
    (lambda: series("PT", AttenuationCorrectionMethod="NONE"), "suv_header_contradicts"),
    (lambda: with_all_pixels(series("PT"), lambda v: v.astype(np.int64) - 5000), "suv_implausible"),
    (lambda: with_pixels(series("PT"), 5, noise), "pixels_broken"),
    (lambda: series("PT", RescaleSlope="4", PixelSpacing=["40", "40"]), "suv_implausible"),
])
def test_pet_contradictions(made, code, tmp_path):
    write(tmp_path / "in" / "ct", ct(number=3))
    write(tmp_path / "in" / "pt", made())
    volumes, codes = read_all(tmp_path / "in", tmp_path / "scratch")
    assert list(volumes) == [Role.CT]
    assert {codes[name] for name in codes if name.startswith("pt/")} == {code}
