"""Two tumours of a real PET/CT, as measured on it, before the packaged model, which learnt from synthetic patients."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from irae.attribution import attribute
from irae.core.context import PatientContext
from irae.core.finding import Quantities
from irae.core.focus import Focus, Nature
from irae.models.attribution_package import load_attribution
from tests.attribution.made import WEEK_10, therapy

TUMOURS = [Focus(**focus | {"centroid_ras_mm": tuple(focus["centroid_ras_mm"])}) for focus in
           json.loads(Path(__file__).with_name("real_tumours.json").read_text())["foci"]]


@pytest.mark.parametrize("context", [PatientContext(), therapy()], ids=["no context", "week 10"])
def test_real_tumours_are_neither_inflammation_nor_normal_uptake(project, context):
    model, _ = load_attribution(project / "weights" / "attribution")
    answers = attribute(TUMOURS, findings=(), quantities=Quantities(), context=context, on=WEEK_10, reference=None,
                        earlier=(), learned=model)
    assert len(answers) == 2
    for answer in answers:
        assert answer.nature in (Nature.METASTASIS, Nature.INDETERMINATE)
        assert answer.probabilities["metastasis"] > 0.05, "not ruled out in its numbers, either"
    assert answers[0].nature is Nature.METASTASIS, "SUVmax 42: unlike all that the model knows, and named all the same"


@pytest.mark.parametrize("share", [0.12, 0.18, 0.25, 0.4, 0.6])
@pytest.mark.parametrize("context", [PatientContext(), therapy()], ids=["no context", "week 10"])
def test_nor_are_tumours_of_their_shape_and_tissue_that_take_up_less(project, context, share):
    """The model takes what it sees on this CT for inflammation's: lung at a tumour's border reads as ground glass."""
    model, _ = load_attribution(project / "weights" / "attribution")
    answers = attribute([_cooler(tumour, share) for tumour in TUMOURS], findings=(), quantities=Quantities(),
                        context=context, on=WEEK_10, reference=None, earlier=(), learned=model)
    assert not {a.nature for a in answers} & {Nature.INFLAMMATION, Nature.PHYSIOLOGIC}


def _cooler(tumour, share):
    assert tumour.suv_max is not None
    ratios = {name: tumour.features[name] * share for name in ("liver_ratio", "blood_pool_ratio", "contrast")}
    return replace(tumour, suv_max=tumour.suv_max * share, suv_peak=tumour.suv_peak * share,
                   suv_mean=tumour.suv_mean * share, features={**tumour.features, **ratios})
