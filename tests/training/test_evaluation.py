"""Evaluation on stand-in bodies with known answers; the averages, the page, the comparison."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from irae.core.anatomy import Irae
from irae.core.finding import LearnedScore
from irae.core.volume import Coverage, LabelMap
from irae.evaluate.promotion import Better
from irae.training.annotated import AnnotatedExam, foci_in
from irae.training.comparison import compared
from irae.training.evaluation import Evaluation, FociRow, OrganRow, ScoreRow, evaluate, surface_agreement
from irae.training.evaluation_summary import froc, irae_summary, reliability, summary
from tests.training.stand_in import body


class TruthMoved:
    """A segmenter that knows the truth, and is off by some voxels."""

    name = "truth"
    digests: ClassVar[dict[str, str]] = {}

    def __init__(self, truths, voxels: int = 0) -> None:
        self._truths, self._voxels = truths, voxels

    def for_exam(self, patient, acquired_on):
        self._patient = patient
        return self

    def segment_ct(self, ct) -> LabelMap:
        truth = self._truths[self._patient]
        return LabelMap(array=np.roll(truth.array, self._voxels, axis=0), geometry=truth.geometry,
                        labels=truth.labels, coverage=dict.fromkeys(truth.labels, Coverage.WHOLE))

    def segment_mr(self, mr):
        raise AssertionError


class HeatScore:
    """Scores hepatitis by the PET's 99th percentile."""

    digests: ClassVar[dict[str, str]] = {}

    def score(self, exam, organs, pituitary, baseline=None):
        if exam.pet is None:
            return {}
        heat = float(np.percentile(exam.pet.array, 99))
        return {Irae.HEPATITIS: LearnedScore(
            irae=Irae.HEPATITIS, probability=min(heat / 6, 1.0), threshold=0.5, calibrated=True, model="sha256:0",
        )}


@pytest.fixture(scope="module")
def exams():
    made = []
    for seed in range(8):
        exam, truth = body(seed, 16.0, hot=seed % 2 == 1)
        made.append(AnnotatedExam(
            exam=exam, organs=truth, present={Irae.HEPATITIS: seed % 2 == 1}, visible={Irae.HEPATITIS: seed % 2 == 1},
            groups={"sex": "MF"[seed % 2]}, foci=() if seed < 4 else None,
        ))
    return made


def test_a_perfect_and_a_displaced_segmenter(exams):
    truths = {known.exam.patient: known.organs for known in exams}
    perfect = evaluate(exams, segmenter=TruthMoved(truths), classifier=HeatScore())
    assert all(row.dice == 1.0 and row.hd95_mm == 0.0 and row.surface_dice == 1.0 for row in perfect.organs)
    off = evaluate(exams, segmenter=TruthMoved(truths, 1), classifier=None)
    liver = [row for row in off.organs if row.organ == "liver"]
    assert all(0.6 < row.dice < 0.95 and row.hd95_mm == pytest.approx(16.0) for row in liver)
    document = summary(perfect)
    assert document["patients"] == 8
    assert document["organs"]["liver"]["dice"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 8}
    found = document["iraes"]["hepatitis"]
    assert (found["positive"], found["negative"]) == (4, 4)
    assert found["auroc"]["value"] == found["sensitivity_at_specificity_95"]["value"] == 1.0
    assert set(found["subgroups"]) == {"sex", "PET", "baseline"}
    assert document["organs"]["liver"]["subgroups"]["sex"]["M"]["dice"]["value"] is None, "4 patients are too few"
    assert document["foci"]["thresholds"]["exams"] == 4
    (dice, *_) = compared(perfect, off, organs=["liver"])
    assert dice.low < dice.challenger - dice.champion < dice.high < 0
    scores = compared(perfect, perfect, iraes=["hepatitis"])
    assert [measure.name for measure in scores] == ["auroc/hepatitis", "sensitivity/hepatitis", "ece/hepatitis"]
    assert scores[2].better is Better.LOWER
    assert scores[0].low == scores[0].high == 0.0


def score_row(patient: int, *, positive: bool, probability: float | None, hidden: bool = False) -> ScoreRow:
    return ScoreRow(patient=f"P{patient}", exam=f"P{patient}/d", irae="colitis", positive=positive, hidden=hidden,
                    probability=probability, threshold=0.5)


def test_hidden_and_unscored_exams_are_counted_apart():
    rows = [score_row(0, positive=False, probability=0.1), score_row(1, positive=True, probability=0.9),
            score_row(2, positive=False, probability=0.9, hidden=True), score_row(3, positive=True, probability=None)]
    found = irae_summary(rows)
    assert (found["positive"], found["negative"], found["hidden"], found["not_assessable"]) == (1, 1, 1, 1)
    assert found["sensitivity"]["value"] == found["specificity"]["value"] == 1.0


def test_sensitivity_at_specificity_is_the_best_that_the_negatives_allow():
    rows = [score_row(n, positive=False, probability=n / 100) for n in range(20)]
    rows += [score_row(50 + n, positive=True, probability=p) for n, p in enumerate((0.17, 0.181, 0.5, 0.9))]
    # 19 of 20 negatives lie at or below 0.18: three of four positives lie above it.
    assert irae_summary(rows)["sensitivity_at_specificity_95"]["value"] == 0.75


def test_reliability_is_the_rate_in_each_bin():
    rows = [score_row(n, positive=n < 1, probability=0.25) for n in range(4)]
    rows += [score_row(9, positive=True, probability=1.0)]
    assert reliability(rows) == [
        {"probability": 0.25, "n": 4, "observed": 0.25}, {"probability": 1.0, "n": 1, "observed": 1.0}
    ]


def test_froc_counts_false_foci_an_exam():
    rows = [FociRow(patient="a", exam="a/d", method="thresholds", true=2, found=(9.0, 4.0), false=(5.0,)),
            FociRow(patient="b", exam="b/d", method="thresholds", true=2, found=(8.0,), false=(3.0, 2.0))]
    curve = froc(rows)
    assert [0.0, 0.5] in curve, "above 5: two of four found, nothing false"
    assert [0.5, 0.75] in curve, "down to 4: three found, one false on two exams"
    assert max(rate for rate, _ in curve) == 1.5


def test_patients_are_drawn_with_all_their_exams():
    rows = [OrganRow(patient="a", exam=f"a/{n}", organ="liver", dice=1.0, surface_dice=1.0, hd95_mm=0.0, believed=True)
            for n in range(9)]
    rows += [replace(rows[0], patient="b", exam="b/0", dice=0.0)]
    number = summary(Evaluation(organs=tuple(rows)))["organs"]["liver"]["dice"]
    assert (number["value"], number["low"], number["high"], number["n"]) == (0.9, 0.0, 1.0, 2)


def test_surface_agreement_of_shifted_boxes():
    one, other = np.zeros((2, 20, 20, 20), bool)
    one[5:15, 5:15, 5:15], other[7:17, 5:15, 5:15] = True, True
    surface, distance = surface_agreement(one, other, (1.0, 1.0, 1.0))
    assert surface == 1.0, "2 mm off is within the tolerance"
    assert distance == pytest.approx(2.0)
    assert surface_agreement(one, np.zeros_like(one), (1.0, 1.0, 1.0)) == (None, None)


def test_parts_of_a_mask_are_foci(exams):
    marked = np.zeros((10, 10, 10), bool)
    marked[1:4, 1:4, 1:4] = marked[7, 7, 7] = True
    geometry = exams[0].organs.geometry
    large, small = foci_in(marked, geometry)
    np.testing.assert_allclose(large.centre_ras_mm, geometry.to_world((2, 2, 2)))
    assert large.radius_mm == pytest.approx((27 * 16.0**3 * 3 / (4 * np.pi)) ** (1 / 3))
    assert small.radius_mm < large.radius_mm


def test_the_page_shows_every_part(exams, tmp_path):
    from irae.app.evaluate import write_evaluation

    truths = {known.exam.patient: known.organs for known in exams}
    found = evaluate(exams, segmenter=TruthMoved(truths), classifier=HeatScore())
    document = summary(found) | {
        "data": {"name": "stand-ins", "what": "eight bodies", "digest": "sha256:0", "limits": "None of this is real."},
        "models": {"organs": "sha256:" + "1" * 64}, "limits": {"surface_mm": 4.0, "focus_mm": 8.0},
    }
    write_evaluation(tmp_path, document)
    page = (tmp_path / "evaluation.html").read_text()
    for word in ("stand-ins", "Hepatitis", "Reliability", "ROC", "lung left", "AUPRC", "None of this is real.",
                 "sex: F", "data:image/png;base64,"):
        assert word in page, word
    assert json.loads((tmp_path / "evaluation.json").read_text())["schema"] == "irae.evaluation/1"
