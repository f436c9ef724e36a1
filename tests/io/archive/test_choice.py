"""Which series is taken, and the reason given for each that is not."""

import pytest

from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.exam import Role
from irae.io.archive import index_archive, read_exam
from tests.io.archive.made import UID, series, write


def indexed(tmp_path, *parts):
    for n, datasets in enumerate(parts, start=1):
        for k, ds in enumerate(datasets):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.6.{n}.{k}"
            ds.SeriesInstanceUID = f"{UID}.{n}"
        write(tmp_path / "in" / f"s{n}", datasets)
    return index_archive(tmp_path / "in", scratch=tmp_path / "scratch")


def codes(exam):
    return {series.description: series.code for series in exam.series}


@pytest.mark.parametrize(("tags", "code"), [
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
    ({"SeriesDescription": "Topogram 0.6"}, "localizer"),
    ({"SeriesDescription": "Thorax MIP ax"}, "derived_image"),
    ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "derived_image"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "derived_image"),
    ({"RescaleType": "US_MGML"}, "derived_image"),
])
def test_ct_that_is_no_scan(tmp_path, tags, code):
    exam = indexed(tmp_path, series("CT"), series("CT", **{"SeriesDescription": "other", **tags})).exams[0]
    assert exam.chosen[Role.CT].description == "Body"
    assert [s.code for s in exam.unchosen] == [code]
    assert exam.unchosen[0].text


@pytest.mark.parametrize(("modality", "description"), [
    ("CT", "CT Low Dose WB"), ("CT", "WB CT for fusion"), ("CT", "Thorax 3D 1.0"), ("CT", "CT sub mm"),
    ("PT", "WB 3D AC"), ("PT", "PET_3D_OSEM"), ("PT", "Low dose FDG"),
])
def test_words_that_also_describe_scans(tmp_path, modality, description):
    exam = indexed(tmp_path, series(modality, SeriesDescription=description)).exams[0]
    assert codes(exam) == {description: "used"}


@pytest.mark.parametrize(("modality", "description", "tags", "code"), [
    ("CT", "Dose Report", {}, "derived_image"), ("CT", "Dose", {}, "derived_image"),
    ("CT", "AX_MIP_10", {}, "derived_image"),
    ("CT", "Thorax 3D", {"ImageType": ["DERIVED", "PRIMARY"]}, "derived_image"),
    ("MR", "T1_post_SUB brain", {}, "derived_image"),
    ("PT", "PET_NoAC", {}, "pet_not_attenuation_corrected"), ("PT", "WB_NAC_2i", {}, "pet_not_attenuation_corrected"),
    ("PT", "PET noncorr", {}, "pet_not_attenuation_corrected"), ("PT", "AC-Off", {}, "pet_not_attenuation_corrected"),
])
def test_words_that_name_no_scan(tmp_path, modality, description, tags, code):
    index = indexed(tmp_path, series(modality, SeriesDescription=description, **tags))
    assert [s.code for s in index.series] == [code]


@pytest.mark.parametrize(("tags", "why"), [
    ({"ConvolutionKernel": "LUNG"}, "sharp kernel"),
    ({"slices": 6}, "covers"),
    ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}, "derived image"),
])
def test_the_better_ct_wins_with_reasons(tmp_path, tags, why):
    exam = indexed(tmp_path, series("CT", SeriesDescription="other", **tags), series("CT")).exams[0]
    assert codes(exam) == {"Body": "used", "other": "not_chosen"}
    assert "fits less well" in exam.unchosen[0].text
    assert why in " ".join(exam.unchosen[0].decisions)


def test_ct_of_the_pets_frame_is_preferred(tmp_path):
    other = series("CT", SeriesDescription="other", slices=13, FrameOfReferenceUID=f"{UID}.44")
    exam = indexed(tmp_path, other, series("CT"), series("PT")).exams[0]
    assert exam.chosen[Role.CT].description == "Body"


@pytest.mark.parametrize(("tags", "code"), [
    ({"SeriesDescription": "WB NAC"}, "pet_not_attenuation_corrected"),
    ({"CorrectedImage": ["DECY"]}, "pet_not_attenuation_corrected"),
    ({"SeriesType": ["DYNAMIC", "IMAGE"]}, "pet_dynamic_or_gated"),
    ({"SeriesType": ["GATED", "IMAGE"]}, "pet_dynamic_or_gated"),
    ({"PatientWeight": None}, "suv_weight_missing"),
    ({"PatientWeight": lambda k: "70" if k else "80"}, "suv_header_contradicts"),
    ({"Units": "PROPCNTS"}, "suv_units_unsupported"),
])
def test_pet_without_usable_suv_is_not_used(tmp_path, tags, code):
    index = indexed(tmp_path, series("CT"), series("PT", **tags))
    exam = index.exams[0]
    assert Role.PET not in exam.chosen
    assert [s.code for s in exam.unchosen] == [code]
    read = read_exam(exam).exam
    assert read.pet is None
    assert "pet_without_suv" in [notice.code for notice in read.notices]


def test_pet_header_that_lies_by_a_thousand_is_caught_by_its_voxels(tmp_path):
    lying = series("PT", RescaleSlope=lambda k: f"{(0.5 + 0.25 * (k % 5)) / 1000:g}")  # kBq/mL called Bq/mL
    exam = indexed(tmp_path, series("CT"), lying).exams[0]
    read = read_exam(exam)
    assert read.exam.pet is None
    assert {row.code for row in read.outcomes} == {"suv_implausible"}
    assert "pet_without_suv" in [notice.code for notice in read.exam.notices]


def test_tracer_other_than_fdg(tmp_path):
    made = series("PT")
    for ds in made:
        ds.RadiopharmaceuticalInformationSequence[0].Radiopharmaceutical = "PSMA-1007"
    exam = indexed(tmp_path, series("CT"), made).exams[0]
    assert exam.unchosen[0].code == "tracer_not_fdg"


@pytest.mark.parametrize(("tags", "code"), [
    ({}, "used"),
    ({"ContrastBolusAgent": None, "SeriesDescription": "T1 MPRAGE brain"}, "mr_not_contrast_enhanced"),
    ({"ContrastBolusAgent": None, "SeriesDescription": "t1_mprage_sag_gd brain"}, "used"),
    ({"SeriesDescription": "T1 MPRAGE brain pre contrast", "ContrastBolusAgent": None}, "mr_not_contrast_enhanced"),
    ({"SeriesDescription": "T2 FLAIR brain"}, "mr_not_t1"),
    ({"SeriesDescription": "DWI brain"}, "mr_not_t1"),
    ({"SeriesDescription": "T1 VIBE abdomen post", "BodyPartExamined": "ABDOMEN"}, "mr_not_head"),
    ({"SeriesDescription": "T1 MPRAGE post subtraction brain"}, "derived_image"),
    ({"SeriesDescription": "", "BodyPartExamined": "HEAD"}, "used"),
    ({"SeriesDescription": "", "BodyPartExamined": "HEAD", "RepetitionTime": "4000", "EchoTime": "100"}, "mr_not_t1"),
])
def test_mr(tmp_path, tags, code):
    index = indexed(tmp_path, series("MR", **tags))
    exam = (*index.exams, *index.unusable)[0]
    assert [s.code for s in exam.series] == [code], [s.text for s in exam.series]


def test_one_exam_is_one_patient_on_one_date(tmp_path):
    index = indexed(
        tmp_path, series("CT"), series("MR"), series("CT", day="20260601"), series("CT", patient="P02"),
    )
    assert [(exam.key, sorted(role.value for role in exam.chosen)) for exam in index.exams] == [
        ("P01/2026-03-14", ["ct", "mr_t1c"]), ("P01/2026-06-01", ["ct"]), ("P02/2026-03-14", ["ct"]),
    ]


def test_patient_id_that_is_a_path(tmp_path):
    index = indexed(tmp_path, series("CT", patient="../../evil"), series("CT", patient=""))
    keys = [exam.patient for exam in index.exams]
    assert all(".." not in key and "/" not in key for key in keys)
    assert len(set(keys)) == 2
    notices = {notice.code for exam in index.exams for notice in exam.notices}
    assert notices == {"patient_id_unsafe", "patient_id_missing"}


def test_sul_from_header_and_from_context(tmp_path):
    exam = indexed(tmp_path, series("PT")).exams[0]
    origin = read_exam(exam).exam.origins[Role.PET]
    assert origin.suv_to_sul == pytest.approx(9270 / (8780 + 244 * 70 / 1.65**2), rel=1e-3)
    assert origin.uptake_minutes == pytest.approx(60.0)
    bare = indexed(tmp_path / "b", series("PT", PatientSize=None, PatientSex="")).exams[0]
    assert read_exam(bare).exam.suv_to_sul is None
    assert read_exam(bare).exam.origins[Role.PET].why_no_sul == "sex, height unknown"
    context = PatientContext.of([
        ContextEntry(kind=ContextKind.SEX, value="F"), ContextEntry(kind=ContextKind.HEIGHT_CM, value="165"),
    ])
    assert read_exam(bare, context).exam.suv_to_sul == pytest.approx(origin.suv_to_sul)


def test_origin_says_where_it_came_from(tmp_path):
    exam = indexed(tmp_path, series("CT", ContrastBolusAgent="Iomeprol")).exams[0]
    origin = read_exam(exam).exam.origins[Role.CT]
    assert origin.contrast is True
    assert len(origin.files) == 12
    assert origin.digest.startswith("sha256:")
    assert origin.digest == read_exam(exam).exam.origins[Role.CT].digest
    assert origin.study_uid
    assert origin.series_uid == f"{UID}.1"


def test_the_next_best_series_stands_in(tmp_path):
    broken = series("CT", slices=20, RescaleIntercept="0", SeriesDescription="long, not HU")
    exam = indexed(tmp_path, broken, series("CT")).exams[0]
    assert exam.chosen[Role.CT].description == "long, not HU"
    read = read_exam(exam)
    assert read.chosen[Role.CT].description == "Body"
    assert {s.description: s.code for s in read.series} == {"long, not HU": "hu_implausible", "Body": "used"}
    assert len(read.outcomes) == 32
