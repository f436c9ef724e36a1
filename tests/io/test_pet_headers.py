"""PET series as other makers, archives and anonymisers spoil them, through the reader: right, repaired, or refused.

Each case is a whole series of known SUV whose headers say something else; where it is accepted the voxels must still be
the SUV that the activity in the body means, by the header as it now reads.
"""

import warnings

import numpy as np
import pytest
from pydicom.dataset import Dataset

from irae.core.exam import Role
from irae.io.archive import ExamUnusableError, index_archive, read_exam
from tests.io.archive.made import body_suv, series, write
from tests.io.archive.test_enhanced import enhanced

USED = ("used", "used")


def drug(**changes):
    """A change of the radiopharmaceutical item, on every slice."""
    def change(datasets):
        for ds in datasets:
            item = ds.RadiopharmaceuticalInformationSequence[0]
            for word, value in changes.items():
                if value is None:
                    delattr(item, word)
                else:
                    setattr(item, word, value)
        return datasets

    return change


def tags(**changes):
    """Attributes of every slice; None takes one away, a function gets the slice number."""
    def change(datasets):
        for k, ds in enumerate(datasets):
            for word, value in changes.items():
                value = value(k) if callable(value) else value
                if value is None:
                    delattr(ds, word)
                else:
                    setattr(ds, word, value)
        return datasets

    return change


def private(group, creator, element, vr, value):
    def change(datasets):
        for ds in datasets:
            ds.private_block(group, creator, create=True).add_new(element, vr, value)
        return datasets

    return change


def nuclide(code, meaning):
    def change(datasets):
        for ds in datasets:
            item = ds.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence[0]
            item.CodeValue, item.CodeMeaning = code, meaning
        return datasets

    return change


def both(*changes):
    def change(datasets):
        for one in changes:
            datasets = one(datasets)
        return datasets

    return change


def twice(datasets):
    for ds in datasets:
        ds.RadiopharmaceuticalInformationSequence.append(Dataset())
    return datasets


def bad(code):
    return ("quarantined", code)


PHILIPS = (0x7053, "Philips PET Private Group")
HALF = 2 ** (-3600 / 6586.2)  # what one more hour of decay leaves

# name: (change, expected (outcome, code), SUV as a multiple of the clean one)
CASES = {
    "clean": (tags(), USED, 1.0),
    # times
    "series made after the scan (reprocessed)": (tags(SeriesTime="153000"), USED, 1.0),
    "series made the next day": (tags(SeriesDate="20260315", SeriesTime="080000"), USED, 1.0),
    "series time missing": (tags(SeriesTime=None), USED, 1.0),
    "series an hour and more before its first slice": (
        tags(SeriesTime="083000"), bad("suv_time_contradiction"), None),
    "beds one after the other": (
        tags(AcquisitionTime=lambda k: f"10{3 * (k // 3):02d}00", FrameReferenceTime=lambda k: str(180000 * (k // 3))),
        USED, 1.0),
    "fraction of a second after the series time": (tags(SeriesTime="100000.000000", AcquisitionTime="095959.999995"),
                                                   USED, 1.0),
    "acquisition time missing": (tags(AcquisitionTime=None), bad("suv_time_missing"), None),
    "start date-time an hour off the start time": (
        drug(RadiopharmaceuticalStartDateTime="20260314080000"), bad("suv_time_contradiction"), None),
    "start date-time as the start time": (drug(RadiopharmaceuticalStartDateTime="20260314090000.00"), USED, 1.0),
    "start date-time of another year (anonymised)": (
        drug(RadiopharmaceuticalStartDateTime="20010101090000"), bad("suv_uptake_absurd"), None),
    "start date-time the day after": (
        drug(RadiopharmaceuticalStartDateTime="20260315090000"), bad("suv_injection_after_scan"), None),
    "start date-time with its zone, scanner's given": (
        both(drug(RadiopharmaceuticalStartDateTime="20260314080000+0000"), tags(TimezoneOffsetFromUTC="+0100")),
        USED, 1.0),
    "start date-time with a zone that nothing explains": (
        drug(RadiopharmaceuticalStartDateTime="20260314080000+0000"), bad("suv_time_zone_unknown"), None),
    "start time with colons": (drug(RadiopharmaceuticalStartTime="09:00:00"), USED, 1.0),
    "start time missing": (drug(RadiopharmaceuticalStartTime=None), bad("suv_injection_time_missing"), None),
    "start time no time": (drug(RadiopharmaceuticalStartTime="096100"), bad("suv_injection_time_missing"), None),
    "start time midnight for unknown": (drug(RadiopharmaceuticalStartTime="000000"), bad("suv_uptake_absurd"), None),
    "start time after the scan": (drug(RadiopharmaceuticalStartTime="103000"), bad("suv_injection_after_scan"), None),
    "start time that of the scan": (drug(RadiopharmaceuticalStartTime="100000"), bad("suv_uptake_absurd"), None),
    "across midnight without a date": (
        both(drug(RadiopharmaceuticalStartTime="233000"), tags(SeriesTime="003000", AcquisitionTime="003000")),
        ("repaired", "suv_repaired"), 1.0),
    # weight
    "weight missing": (tags(PatientWeight=None), bad("suv_weight_missing"), None),
    "weight 0": (tags(PatientWeight="0"), bad("suv_weight_missing"), None),
    "weight 999": (tags(PatientWeight="999"), bad("suv_weight_absurd"), None),
    "weight in grams": (tags(PatientWeight="70000"), bad("suv_weight_absurd"), None),
    "weight 7": (tags(PatientWeight="7"), bad("suv_weight_absurd"), None),
    "weight in pounds": (tags(PatientWeight="154"), USED, 154 / 70),  # used, with the notice below
    "weight of one slice another": (
        tags(PatientWeight=lambda k: "70" if k else "80"), bad("suv_header_contradicts"), None),
    "height in centimetres": (tags(PatientSize="165"), USED, 1.0),
    # dose and nuclide
    "dose in MBq": (drug(RadionuclideTotalDose="370"), bad("suv_dose_absurd"), None),
    "dose in kBq": (drug(RadionuclideTotalDose="370000"), bad("suv_dose_absurd"), None),
    "dose 0": (drug(RadionuclideTotalDose="0"), bad("suv_dose_missing"), None),
    "dose missing": (drug(RadionuclideTotalDose=None), bad("suv_dose_missing"), None),
    "half-life missing": (drug(RadionuclideHalfLife=None), bad("suv_half_life_missing"), None),
    "half-life in minutes": (drug(RadionuclideHalfLife="109.77"), bad("suv_half_life_absurd"), None),
    "half-life of carbon": (drug(RadionuclideHalfLife="1223.4"), bad("suv_half_life_absurd"), None),
    "half-life of carbon, nuclide not coded": (
        drug(RadionuclideHalfLife="1223.4", RadionuclideCodeSequence=None), bad("suv_half_life_absurd"), None),
    "FDG labelled with gallium": (nuclide("C-131A3", "68Ga"), bad("suv_header_contradicts"), None),
    "no tracer's name, gallium": (
        both(drug(Radiopharmaceutical="", RadionuclideHalfLife="4062.6"), nuclide("C-131A3", "68Ga")),
        ("ignored", "tracer_not_fdg"), None),
    "no tracer's name, gallium by its half-life alone": (
        drug(Radiopharmaceutical="", RadionuclideHalfLife="4062.6", RadionuclideCodeSequence=None),
        ("ignored", "tracer_not_fdg"), None),
    "two radiopharmaceuticals": (twice, bad("suv_header_contradicts"), None),
    "no radiopharmaceutical": (tags(RadiopharmaceuticalInformationSequence=None), bad("suv_dose_missing"), None),
    # corrections
    "decay correction ADMIN": (tags(DecayCorrection="ADMIN"), USED, HALF),
    "decay correction NONE": (tags(DecayCorrection="NONE"), bad("suv_not_decay_corrected"), None),
    "decay correction missing": (tags(DecayCorrection=None), bad("suv_not_decay_corrected"), None),
    "DECY missing": (tags(CorrectedImage=["ATTN", "SCAT"]), bad("suv_not_decay_corrected"), None),
    "ATTN missing": (tags(CorrectedImage=["DECY"]), ("ignored", "pet_not_attenuation_corrected"), None),
    # units
    "units missing": (tags(Units=None), bad("suv_units_missing"), None),
    "units PROPCNTS": (tags(Units="PROPCNTS"), bad("suv_units_unsupported"), None),
    "units CNTS": (tags(Units="CNTS"), bad("suv_counts_without_factor"), None),
    "counts, private factor of another maker": (
        both(tags(Units="CNTS"), private(0x7053, "SOMEBODY", 0x00, "DS", "0.0005")), bad("suv_counts_without_factor"),
        None),
    "counts with Philips' activity factor": (
        both(tags(Units="CNTS"), private(*PHILIPS, 0x09, "DS", "2.0")), USED, 2.0),
    "counts with Philips' SUV factor of 0 and no other": (
        both(tags(Units="CNTS"), private(*PHILIPS, 0x00, "DS", "0")), bad("suv_counts_without_factor"), None),
    "Bq/mL with Philips' factors beside": (private(*PHILIPS, 0x00, "DS", "0.003"), USED, 1.0),
    "activity called SUV": (tags(Units="GML"), bad("suv_implausible"), None),
}


@pytest.mark.parametrize("name", CASES)
def test_spoiled_pet(tmp_path, name):
    change, expected, times = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom minds some of the values
        write(tmp_path / "in", change(series("PT")))
    index = index_archive(tmp_path / "in", scratch=tmp_path / "scratch")
    plans, read = list(index.series), None
    if index.exams:
        try:
            read = read_exam(index.exams[0])
            plans = list(read.series)
        except ExamUnusableError as error:
            plans = list(error.series)
    (plan,) = [plan for plan in plans if plan.modality == "PT"]
    assert (plan.outcome.value, plan.code) == expected, (plan.text, plan.decisions)
    assert plan.text or plan.outcome.value == "used"
    if times is None:
        assert read is None
        return
    pet = read.exam.pet
    grid = np.stack(np.meshgrid(*map(np.arange, pet.array.shape), indexing="ij"), axis=-1)
    np.testing.assert_allclose(pet.array, times * body_suv(pet.geometry.to_world(grid)), atol=2e-3 * times)
    assert any(said.startswith("SUVbw = ") for said in read.exam.origins[Role.PET].decisions)
    doubts = [notice.text for notice in read.exam.notices if notice.code == "suv_doubtful"]
    assert bool(doubts) == (name == "weight in pounds"), doubts


@pytest.mark.parametrize(("stated", "times"), [("20260314100000", 1.0), ("20260314090000", HALF)])
def test_multi_frame_pet_is_corrected_to_what_it_states(tmp_path, stated, times):
    """Enhanced PET has no DecayCorrection; (0018,9701) says which time its activity is corrected to."""
    whole = enhanced("PT", DecayCorrected="YES", DecayCorrectionDateTime=stated)
    del whole.DecayCorrection
    write(tmp_path / "in", [whole])
    index = index_archive(tmp_path / "in", scratch=tmp_path / "scratch")
    pet = read_exam(index.exams[0]).exam.pet
    grid = np.stack(np.meshgrid(*map(np.arange, pet.array.shape), indexing="ij"), axis=-1)
    np.testing.assert_allclose(pet.array, times * body_suv(pet.geometry.to_world(grid)), atol=2e-3)
