"""The fusion fitted on a made-up table: better than either arm, calibrated, covered as stated, and packaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from irae.core.anatomy import Irae
from irae.findings.fusion import INPUTS
from irae.io.fusion_card import load_fusion
from irae.models.runtime import Device
from irae.training import fusion as fusion_room
from irae.training.fusion import (
    LEAST_SEEN,
    conformal_limits,
    cross_fitted,
    fit_irae,
    fusion_job,
    measure_irae,
    of_irae,
    paired_difference,
)
from irae.training.fusion_settings import FusionSettings
from irae.training.fusion_table import FusionRow, TableSettings, fusion_table, patient_rows, table_key
from irae.training.jobs import Workplace
from irae.training.metrics import expected_calibration_error

SETTINGS = FusionSettings(train_seed=0, calibration_seed=10_000, held_out_seed=20_000)


def rows(first, count, *, irae=Irae.COLITIS, against=False):
    """Patients whose arms each know half of the truth; every third without PET."""
    made = []
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        ill = bool(rng.random() < 0.5)
        level = 1.5 if ill else -1.5
        inputs = dict.fromkeys(INPUTS, 0.0)
        inputs["rule_log_odds"] = float(level + 2.0 * rng.standard_normal())
        inputs["learned_log_odds"] = float((-level if against else level) + 2.0 * rng.standard_normal())
        inputs["pet_missing"] = float(seed % 3 == 0)
        made.append(FusionRow(
            seed=seed, view="all", irae=irae.value, present=ill, visible=ill, severity=int(ill), assessable=True,
            inputs=inputs, rule_known=True, learned_known=True, classifier="sha256:1",
            suv_rule=float(level + 5.0 * rng.standard_normal()),
        ))
    return made


def test_it_beats_its_arms_and_the_suv_rule_and_is_covered_as_stated():
    fitted = fit_irae(rows(0, 600), rows(10_000, 400), SETTINGS)
    found = measure_irae(rows(20_000, 600), fitted)
    assert found["auroc"].value > max(found["auroc_rules"].value, found["auroc_learned"].value)
    assert found["auroc_gain_over_suv"].low > 0
    assert found["ece"].value < found["ece_by_chance"].high + 0.02
    assert found["specificity"].value == pytest.approx(0.95, abs=0.04)
    assert found["coverage"].value == pytest.approx(0.9, abs=0.04)
    assert 0.0 < found["abstained"].value < 0.6
    assert fitted.classifier == "sha256:1"
    assert "pet_missing" not in fitted.never_seen
    assert "steroid" in fitted.never_seen


def test_no_patient_is_answered_by_a_fit_that_knew_it():
    """Patients whose inputs say nothing, and a fit so free that it learns each by heart."""
    rng = np.random.default_rng(0)
    made = [
        replace(row, view=view, inputs={**row.inputs, **{f"rule.{n}": float(n == row.seed) for n in range(60)}})
        for row in rows(0, 60) for view in ("all", "no_pet")
    ]
    made = [replace(row, inputs={**row.inputs, "rule_log_odds": 0.0, "learned_log_odds": 0.0}) for row in made]
    order = rng.permutation(len(made))
    shuffled = [made[n] for n in order]
    names = (*INPUTS, *(f"rule.{n}" for n in range(60)))
    free = replace(SETTINGS, regularisation=1e4, group_share=1.0)
    raw = cross_fitted(names, shuffled, free)
    truth = np.array([row.visible for row in shuffled])
    assert abs(float(raw[truth].mean() - raw[~truth].mean())) < 1.0
    # Views of a patient stay together: they are answered alike.
    pairs = {row.seed: [float(raw[n]) for n, other in enumerate(shuffled) if other.seed == row.seed] for row in made}
    assert all(first == pytest.approx(second) for first, second in pairs.values())


def test_too_few_patients_to_cross_fit_are_refused():
    one = next(row for row in rows(0, 20) if row.visible)
    none = [row for row in rows(0, 20) if not row.visible]
    with pytest.raises(ValueError, match="two patients of each class"):
        cross_fitted(INPUTS, [one, *none], SETTINGS)


def test_on_few_patients_the_probabilities_are_nearly_true():
    """The error that remains on many patients, mean of made-up sites; Platt on the 40 patients kept back left 0.069."""
    errors = []
    for start in range(0, 1_200_000, 100_000):
        fitted = fit_irae(rows(start, 60), rows(start + 10_000, 40), SETTINGS)
        others = rows(start + 20_000, 2000)
        raw = np.array([fitted.log_odds(row.inputs) for row in others])
        probability = 1.0 / (1.0 + np.exp(-(fitted.scale * raw + fitted.offset)))
        errors.append(expected_calibration_error(probability, [row.visible for row in others]))
    assert np.mean(errors) < 0.05


def test_an_arm_that_speaks_against_itself_is_left_out():
    fitted = fit_irae(rows(0, 300, against=True), rows(10_000, 200, against=True), SETTINGS)
    assert fitted.coefficients["learned_log_odds"] == 0.0
    assert fitted.coefficients["rule_log_odds"] > 0.0


def test_the_rules_are_never_silenced():
    """Where the classifier knows all and the rules nothing, they keep a quarter of its weight."""
    def made(first, count):
        return [
            replace(row, inputs={**row.inputs, "learned_log_odds": 6.0 if row.visible else -6.0,
                                 "rule_log_odds": float(np.random.default_rng(row.seed).standard_normal())})
            for row in rows(first, count)
        ]

    coefficients = fit_irae(made(0, 300), made(10_000, 200), SETTINGS).coefficients
    assert coefficients["rule_log_odds"] == pytest.approx(0.25 * coefficients["learned_log_odds"], rel=0.3)


def test_a_group_of_signs_that_means_nothing_counts_less():
    """The rules trust two groups alike, and only one of them knows anything."""
    def made(first, count):
        found = []
        for row in rows(first, count):
            rng = np.random.default_rng([row.seed, 1])
            knows = float((1.5 if row.visible else -1.5) + rng.standard_normal())
            noise = float(3.0 * rng.standard_normal())
            found.append(replace(row, inputs={
                **row.inputs, "rule_log_odds": knows + noise, "rule.wall": knows, "rule.uptake": noise,
            }))
        return found

    free, bound = (
        fit_irae(made(0, 400), made(10_000, 200), replace(SETTINGS, group_share=share)) for share in (0.5, 0.0)
    )
    assert bound.coefficients["rule.wall"] == bound.coefficients["rule.uptake"] == 0.0
    wall, uptake = (free.coefficients["rule_log_odds"] + free.coefficients[f"rule.{n}"] for n in ("wall", "uptake"))
    assert 0.0 <= uptake < 0.25 * wall
    held_out = made(20_000, 400)
    better, worse = (measure_irae(held_out, fitted)["auroc"].value for fitted in (free, bound))
    assert better > worse + 0.05


def test_hidden_disease_is_neither_case_and_unanswered_rows_are_left_out():
    plain = rows(0, 40)
    hidden = [replace(r, present=True, visible=False) for r in plain[:5]]
    unanswered = [replace(r, learned_known=False) for r in plain[5:10]]
    other = [replace(r, irae="hepatitis") for r in plain[10:20]]
    assert of_irae([*hidden, *unanswered, *other, *plain[20:]], Irae.COLITIS) == plain[20:]
    with pytest.raises(ValueError, match="needs both classes"):
        fit_irae([r for r in plain if r.visible], plain, SETTINGS)
    assert LEAST_SEEN > 0


def test_conformal_limits_cover_both_classes():
    rng = np.random.default_rng(1)
    truth = rng.random(400) < 0.3
    raw = np.where(truth, 1.0, -1.0) + rng.standard_normal(400)
    low, high = conformal_limits(raw, truth, coverage=0.9)
    assert np.mean(raw[truth] >= low) >= 0.9
    assert np.mean(raw[~truth] <= high) >= 0.9
    low, high = conformal_limits(raw[:5], np.array([True, False, True, False, False]), coverage=0.9)
    assert (low, high) == (-1e6, 1e6), "too few to rule anything out"


def test_a_difference_of_nothing():
    scores, truth = np.arange(20.0), np.arange(20) % 3 == 0
    found = paired_difference(scores, scores, truth)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("changes", "word"), [
    ({"masks": "guessed"}, "masks"), ({"weights": "nowhere"}, "no model packages"), ({"coverage": 1.0}, "coverage"),
    ({"calibration_seed": 3}, "overlap"), ({"ct_mm": [2.0]}, "ct_mm"), ({"regularisation": 0.0}, "regularisation"),
    ({"group_share": 1.5}, "group_share"),
])
def test_settings_that_cannot_work_are_refused(project, changes, word):
    with pytest.raises(ValueError, match=word):
        FusionSettings(**{"weights": str(project / "weights"), "held_out_seed": 5_400_000, **changes}).check()


def test_the_job_packages_what_it_measured(tmp_path, monkeypatch, project):
    def table(seeds, settings, *, cache_folder, key, workers):
        for seed in seeds:
            yield [row for irae in Irae for row in rows(seed, 1, irae=irae)]

    class NoModels:
        digests = {"colitis": "sha256:1"}  # noqa: RUF012

        @classmethod
        def from_folder(cls, folder):
            return cls()

    monkeypatch.setattr(fusion_room, "fusion_table", table)
    monkeypatch.setattr(fusion_room, "PackagedClassifier", NoModels)
    monkeypatch.setattr(fusion_room, "PackagedSegmenter", NoModels)
    said = []
    place = Workplace(out=tmp_path, tracking=None, device=Device.CPU, say=said.append)
    settings = FusionSettings(
        weights=str(project / "weights"), train_cases=120, calibration_cases=80, held_out_cases=80,
        train_seed=5_000_000, held_out_seed=5_400_000, cache=str(tmp_path / "cache"),
    )
    folder = fusion_job(settings, place)
    fusion, document = load_fusion(folder)
    assert set(fusion.iraes) == set(Irae)
    assert document["data"]["held_out_seeds"] == [5_400_000, 5_400_079]
    assert document["metrics"]["hepatitis/auroc"]["n"] == 80
    assert str(project) not in (folder / "fusion.json").read_text(), "no place on somebody's disk"
    assert (folder / "MODEL_CARD.md").is_file()


def test_a_table_goes_on_where_it_stopped(tmp_path, monkeypatch):
    made = []

    def make(seed, settings):
        made.append(seed)
        return rows(seed, 1)

    monkeypatch.setattr("irae.training.fusion_table.patient_rows", make)
    settings = TableSettings(weights=Path("none"))
    key = table_key(settings, "sha256:0", {})
    first = list(fusion_table([1, 2], settings, cache_folder=tmp_path, key=key))
    again = list(fusion_table([1, 2, 3], settings, cache_folder=tmp_path, key=key))
    assert made == [1, 2, 3]
    assert again[:2] == first
    assert table_key(settings, "sha256:1", {}) != key


@pytest.mark.slow
def test_a_patient_gives_a_row_for_every_view_and_irae(tmp_path):
    found = patient_rows(
        5_000_001,
        TableSettings(weights=tmp_path, masks="true", ct_mm=(6.0, 6.0, 6.0), pet_mm=(6.0, 6.0, 6.0), mr_mm=2.0),
    )
    assert len(found) == 25
    bare = [row for row in found if row.view == "bare"]
    assert all(row.inputs["pet_missing"] and row.inputs["baseline_missing"] for row in bare)
    assert all(row.inputs["therapy_unknown"] for row in bare)
    assert not any(row.learned_known for row in found), "no classifier in an empty folder"
    assert any(row.rule_known for row in found)
