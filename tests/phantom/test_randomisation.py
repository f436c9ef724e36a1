"""Training samples: wide on purpose, but their labels still say what is there."""

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME
from irae.phantom import training_sample
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.randomise import CRUDE_SHARE, randomise
from irae.phantom.render import body_geometry, render_exam


@pytest.fixture(scope="module")
def samples():
    return [training_sample(seed, spacing_mm=8.0, with_pet=False) for seed in range(24)]


def test_organs_look_like_nothing_in_particular(samples):
    """A network cannot find the liver by its CT number: livers span more than 100 HU, and noise a factor of 10."""
    livers = [
        float(np.median(s.exam.ct.array[s.organs.mask("liver")])) for s in samples if s.organs.volume_ml("liver") > 300
    ]
    assert np.ptp(livers) > 100
    heights = {s.exam.ct.array.shape[2] for s in samples}
    assert len(heights) > 10


def test_lungs_stay_darker_than_livers_whatever_the_look(samples):
    for sample in samples:
        lung, liver = (sample.organs.mask(*names) for names in (("lung_left", "lung_right"), ("liver",)))
        if lung.sum() > 200 and liver.sum() > 200:
            hu = sample.exam.ct.array
            assert np.percentile(hu[lung], 25) < np.median(hu[liver]) - 250


def _patient(seed):
    return draw_patient(np.random.default_rng(seed), visits=1, plan=VisitPlan(has_pet=False, mr=False))


def test_some_bodies_are_crude_and_hold_all_organs():
    changed = [randomise(np.random.default_rng(seed), _patient(seed), spacing_mm=8.0) for seed in range(60)]
    crude = [p for p in changed if p.anatomy.crude]
    assert 0.3 * CRUDE_SHARE < len(crude) / len(changed) < 2.0 * CRUDE_SHARE
    for patient in crude[:3]:
        grid = body_geometry(patient, 0, (5.0,) * 3)
        organs = render_exam(patient, 0, ct_geometry=grid, with_pet=False).organs
        for name, organ in BY_NAME.items():
            if name not in {"pituitary", "thyroid_gland", "skeletal_muscle"} and not name.startswith("adrenal"):
                low, high = organ.volume_ml
                assert 0.8 * low <= organs.volume_ml(name) <= high, name
        assert organs.volume_ml("thyroid_gland") > 2


def test_randomising_keeps_the_disease():
    patient = _patient(4)
    changed = randomise(np.random.default_rng(1), patient, spacing_mm=6.0)
    assert changed.episodes == patient.episodes
    assert changed.lesions == patient.lesions
    assert changed.confounders == patient.confounders


def test_a_realistic_sample_is_asked_for_by_name():
    made = training_sample(3, spacing_mm=8.0, with_pet=False, realistic=True)
    again = training_sample(3, spacing_mm=8.0, with_pet=False, realistic=True)
    assert np.array_equal(made.exam.ct.array, again.exam.ct.array)
    wild = training_sample(3, spacing_mm=8.0, with_pet=False).exam.ct.array
    assert made.exam.ct.array.shape != wild.shape or not np.array_equal(made.exam.ct.array, wild)
