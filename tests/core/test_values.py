"""Values are checked when made, and say what is wrong."""

import pickle
from datetime import date

import numpy as np
import pytest

from irae.core.anatomy import IRAE_ORGANS, ORGANS, Irae, site_of
from irae.core.context import ContextEntry, ContextKind, PatientContext, TherapyClass
from irae.core.exam import Exam, Role
from irae.core.finding import Decision, OrganFinding
from irae.core.focus import AttributedFocus, Focus, Nature
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume

GRID = Geometry.axis_aligned((2, 3, 4), (1.0, 1.0, 2.0))


def volume(quantity=Quantity.HU):
    return Volume(array=np.zeros(GRID.shape), geometry=GRID, quantity=quantity)


def test_organ_names_and_labels_are_used_once():
    assert len({o.name for o in ORGANS}) == len({o.label for o in ORGANS}) == len(ORGANS)
    assert all(IRAE_ORGANS[irae] for irae in Irae), "every irAE has an organ to look at"


def test_paired_organs_are_one_site():
    assert site_of("kidney_left") == site_of("kidney_right") == "kidney"


def test_a_volume_refuses_other_shapes_and_non_finite_voxels():
    with pytest.raises(ValueError, match="does not fit geometry"):
        Volume(array=np.zeros((2, 2, 2)), geometry=GRID, quantity=Quantity.HU)
    bad = np.zeros(GRID.shape)
    bad[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="non-finite"):
        Volume(array=bad, geometry=GRID, quantity=Quantity.SUV_BW)


def test_arrays_are_read_only_and_the_callers_stay_writable():
    array = np.zeros(GRID.shape, dtype=np.float32)
    made = Volume(array=array, geometry=GRID, quantity=Quantity.HU)
    with pytest.raises(ValueError, match="read-only"):
        made.array[0, 0, 0] = 1
    array[0, 0, 0] = 1


def test_an_organ_without_coverage_is_refused_and_an_unseen_one_has_no_mask():
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[0] = 5
    with pytest.raises(ValueError, match="coverage missing"):
        LabelMap(array=array, geometry=GRID, labels={"liver": 5}, coverage={})
    labels = LabelMap(
        array=array, geometry=GRID, labels={"liver": 5, "spleen": 6},
        coverage={"liver": Coverage.PARTIAL, "spleen": Coverage.NONE},
    )
    assert labels.seen("liver")
    assert not labels.seen("spleen")
    assert not labels.seen("colon")
    assert labels.mask("liver", "spleen", "colon").sum() == 12
    assert labels.volume_ml("liver") == pytest.approx(12 * 2.0 / 1000)
    with pytest.raises(ValueError, match="unknown organs"):
        LabelMap(array=array, geometry=GRID, labels={"gizzard": 5}, coverage={"gizzard": Coverage.WHOLE})


def test_a_map_without_an_organ_is_as_if_nobody_had_looked():
    array = np.zeros((2, 3, 4), np.uint8)
    array[0], array[1, 0] = 1, 2
    coverage = {"liver": Coverage.WHOLE, "spleen": Coverage.PARTIAL, "colon": Coverage.NONE}
    found = LabelMap(array=array, geometry=volume().geometry, labels={"liver": 1, "spleen": 2}, coverage=coverage,
                     rejected={"colon": "scattered"})
    less = found.without("liver").without("colon")
    assert dict(less.labels) == {"spleen": 2}
    assert (dict(less.coverage), dict(less.rejected)) == ({"spleen": Coverage.PARTIAL}, {})
    assert not less.array[0].any()
    assert less.array[1, 0].all()
    assert found.array[0].all()
    assert found.without("brain") is found


def test_an_exam_travels_between_processes():
    exam = Exam(patient="P01", acquired_on=date(2026, 3, 14), volumes={Role.CT: volume()})
    again = pickle.loads(pickle.dumps(exam))
    assert again.key == "P01/2026-03-14"
    assert again.ct is not None
    assert again.ct.geometry.same_grid(GRID)


def test_an_exam_refuses_a_pet_that_is_not_suv():
    with pytest.raises(ValueError, match=r"pet_suv must be SUVbw, got HU"):
        Exam(patient="P01", acquired_on=date(2026, 3, 14), volumes={Role.PET: volume()})


def test_a_finding_needs_a_reason_and_a_probability_only_when_assessable():
    common = {"irae": Irae.COLITIS, "organ": "colon", "severity": 0, "reasons": ("x",)}
    with pytest.raises(ValueError, match="go with an assessable decision"):
        OrganFinding(decision=Decision.NOT_ASSESSABLE, probability=0.1, threshold=0.5, **common)
    with pytest.raises(ValueError, match="needs a reason"):
        OrganFinding(decision=Decision.NOT_SUSPECTED, probability=0.1, threshold=0.5, **{**common, "reasons": ()})
    with pytest.raises(ValueError, match="severity 2"):
        OrganFinding(decision=Decision.NOT_SUSPECTED, probability=0.1, threshold=0.5, **{**common, "severity": 2})


def test_a_nature_needs_three_probabilities_that_sum_to_one():
    focus = Focus(id=1, centroid_ras_mm=(0, 0, 0), volume_ml=1, longest_mm=10, short_mm=8)
    with pytest.raises(ValueError, match="sum to 1"):
        AttributedFocus(
            focus=focus, nature=Nature.METASTASIS, score=-3, outcome="suspected new metastasis", reasons=("x",),
            probabilities={"inflammation": 0.5, "metastasis": 0.6, "physiologic": 0.0},
        )


def test_context_knows_what_held_on_a_day():
    context = PatientContext.of([
        ContextEntry(kind=ContextKind.THERAPY, value="ipilimumab + nivolumab", start=date(2026, 1, 5)),
        ContextEntry(kind=ContextKind.STEROID, value="prednisolone", start=date(2026, 3, 1), end=date(2026, 3, 20)),
        ContextEntry(kind=ContextKind.METFORMIN, value="yes"),
        ContextEntry(kind=ContextKind.GCSF, value="filgrastim", start=date(2026, 2, 20)),
    ])
    on = date(2026, 4, 6)
    assert context.weeks_since_immunotherapy(on) == pytest.approx(13.0)
    assert context.therapy_classes(on) == {TherapyClass.CTLA4, TherapyClass.PD1}
    assert context.weeks_since_immunotherapy(date(2026, 1, 1)) is None
    assert not context.active(ContextKind.STEROID, on)
    assert context.active(ContextKind.STEROID, on, within_days=30)
    assert context.active(ContextKind.METFORMIN, on), "an undated entry always holds"
    assert context.active(ContextKind.GCSF, date(2026, 3, 1), within_days=30)
    assert not context.active(ContextKind.GCSF, on, within_days=30), "a single event fades after its window"
