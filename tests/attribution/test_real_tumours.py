"""Two tumours of a real PET/CT, as measured on it, before the packaged model, which learnt from synthetic patients."""

import json
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
