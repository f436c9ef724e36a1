"""The phantom as a source: the same seed is the same case, and cases are what the loops expect."""

import numpy as np

from irae.core.anatomy import Irae
from irae.training.classification import CROPS
from irae.training.phantom_source import PhantomSource
from irae.training.settings import Target


def test_organs_are_the_same_for_the_same_seed_in_any_number_of_processes():
    one = list(PhantomSource().segmentation(Target.organs, [3, 4], spacing_mm=12.0))
    two = list(PhantomSource(workers=2).segmentation(Target.organs, [3, 4], spacing_mm=12.0))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.image.array, b.image.array)
        np.testing.assert_array_equal(a.truth.array, b.truth.array)
    assert not np.array_equal(one[0].image.array[:20, :20, :20], one[1].image.array[:20, :20, :20])
    assert any(sample.truth.seen("liver") for sample in one)


def test_pituitary_cases_hold_the_gland():
    cases = list(PhantomSource().segmentation(Target.pituitary, [0, 1, 2], spacing_mm=2.0))
    assert all(0.05 < case.truth.volume_ml("pituitary") < 4.0 for case in cases)


def test_crops_lie_around_the_organ():
    specs = {irae: CROPS[irae] for irae in (Irae.HEPATITIS, Irae.HYPOPHYSITIS)}
    patients = list(PhantomSource().classification(specs, range(2)))
    assert len(patients) == 2
    crops = [patient[irae] for patient in patients for irae in patient]
    assert crops
    for patient in patients:
        for irae, case in patient.items():
            assert all(array.shape == specs[irae].patch for array in case.crops.values())
            assert case.crops["organ"].max() > 0.05
            assert not (case.positive and case.hidden)
            assert ("mr" in case.crops) == (irae is Irae.HYPOPHYSITIS)
            assert case.severity > 0 if case.positive else case.severity == 0
            assert ("baseline_mr" in case.crops) == (irae is Irae.HYPOPHYSITIS)


def test_baselines_are_made_for_the_share_that_is_asked_for():
    specs = {Irae.HEPATITIS: CROPS[Irae.HEPATITIS]}
    with_one, without = (
        next(PhantomSource().classification(specs, [2], baseline_share=share))[Irae.HEPATITIS] for share in (1.0, 0.0)
    )
    assert set(with_one.crops) - set(without.crops) == {"baseline_ct", "baseline_pet"}
    np.testing.assert_array_equal(with_one.crops["ct"], without.crops["ct"])


def test_the_digest_is_of_the_generator():
    digest = PhantomSource().digest
    assert digest.startswith("sha256:")
    assert digest == PhantomSource(workers=2).digest
