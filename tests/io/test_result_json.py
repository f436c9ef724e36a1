"""Write then read gives the same result; what does not fit the schema is refused with its place."""

import json
from dataclasses import replace
from datetime import date

import pytest

from irae.core.anatomy import IRAE_ORGANS, Irae
from irae.core.assessment import Assessment, Hinge, View
from irae.core.course import Course, Due, DueState, Pattern
from irae.core.exam import Role
from irae.core.finding import Decision, EpisodeState, Evidence, Measured, OrganFinding, Quantities
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature, ScorePart
from irae.core.notice import Notice
from irae.core.result import ExamResult, OrganSeen, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import Coverage
from irae.io.result_json import (
    check_result,
    course_to_json,
    read_result,
    result_from_json,
    result_to_json,
    write_result,
)

ON = date(2026, 3, 14)


def finding(irae, decision=Decision.NOT_SUSPECTED):
    seen = decision is not Decision.NOT_ASSESSABLE
    suspected = decision is Decision.SUSPECTED
    return OrganFinding(
        irae=irae,
        organ=IRAE_ORGANS[irae][0],
        decision=decision,
        probability=0.91 if suspected else 0.1 if seen else None,
        threshold=0.42 if seen else None,
        severity=2 if suspected else 0,
        state=EpisodeState.NEW if suspected else EpisodeState.NONE,
        evidence=(
            Evidence(name="suv95", value=4.1, unit="g/mL", reference="> 2.7", source="Hribernik 2022", met=True),
        ),
        reasons=("SUV95 of the colon is 4.1 g/mL.",),
        rule_probability=0.8 if seen else None,
    )


def result():
    focus = Focus(
        id=4,
        centroid_ras_mm=(10.0, -20.5, 300.25),
        volume_ml=3.2,
        longest_mm=21.0,
        short_mm=14.0,
        suv_max=7.9,
        suv_peak=6.6,
        suv_mean=5.0,
        tlg=16.0,
        organ="colon",
        organ_fraction=0.75,
        track="L07",
        status=FocusStatus.NEW,
        features={"sphericity": 0.5},
    )
    attributed = AttributedFocus(
        focus=focus,
        nature=Nature.INFLAMMATION,
        score=3.5,
        outcome="probable irAE: colitis",
        reasons=("In the colon.",),
        probabilities={"inflammation": 0.8, "metastasis": 0.1, "physiologic": 0.1},
        parts=(ScorePart(feature="F1", value="0.75", points=3.0, reason="Most of it lies in the colon."),),
    )
    return ExamResult(
        patient="P01",
        acquired_on=ON,
        modalities=("CT", "PT"),
        organs={
            "colon": OrganSeen(label=3, volume_ml=812.0, coverage=Coverage.WHOLE),
            "liver": OrganSeen(label=0, volume_ml=0.0, coverage=Coverage.NONE, rejected="12 mL is too small"),
        },
        quantities=Quantities(
            {
                "colon.suv95": Measured(value=4.1, unit="g/mL"),
                "thyroid_gland.suv75": Measured(value=None, unit="g/mL", why="outside the field of view"),
            }
        ),
        findings=(
            finding(Irae.COLITIS, Decision.SUSPECTED),
            finding(Irae.PNEUMONITIS),
            finding(Irae.THYROIDITIS, Decision.NOT_ASSESSABLE),
            finding(Irae.HEPATITIS),
            finding(Irae.HYPOPHYSITIS, Decision.NOT_ASSESSABLE),
        ),
        foci=(attributed,),
        assessments=(
            Assessment(
                criterion="irecist",
                view=View.ATTRIBUTED,
                category="iSD",
                sum_mm=52.1,
                baseline_mm=61.0,
                nadir_mm=50.3,
                reasons=(("IR-S2", "No progression: 52.1 mm."),),
            ),
            Assessment(
                criterion="irecist",
                view=View.AS_SEEN,
                category="iUPD",
                confirm_between=(date(2026, 4, 11), date(2026, 5, 9)),
                reasons=(("IR-S1", "A new lesion: L07."),),
            ),
        ),
        hinges_on=(Hinge(focus=4, if_nature="metastasis", categories=(("irecist", "iUPD"),)),),
        triage=Triage(priority=Priority.URGENT, score=0.93, acr_category=2, reasons=("New colitis, severity 2.",)),
        notices=(Notice("no_baseline", "No earlier exam."),),
        versions=Versions(irae="0.1.0", models={"colitis": "sha256:ab"}, settings="sha256:cd", input="sha256:ef"),
        series={Role.CT: "1.2.3"},
    )


def test_write_then_read_gives_the_same_result(tmp_path):
    write_result(tmp_path / "P01" / "result.json", result())
    assert result_to_json(read_result(tmp_path / "P01" / "result.json")) == result_to_json(result())
    assert [p.name for p in (tmp_path / "P01").iterdir()] == ["result.json"], "nothing is left aside"


def test_the_contracts_keys_are_there():
    data = result_to_json(result())
    assert data["exam"] == "P01/2026-03-14"
    assert data["hinges_on"] == [{"focus": 4, "if": "metastasis", "irecist": "iUPD"}]
    assert data["assessments"][1]["confirm_between"] == ["2026-04-11", "2026-05-09"]
    assert data["organs"]["colon"] == {"label": 3, "volume_ml": 812.0, "coverage": "whole"}
    assert data["findings"][2]["probability"] is None


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("findings", 0, "decision"), "maybe", "findings/0/decision"),
        (("findings", 2, "probability"), 0.3, "findings/2/probability"),
        (("findings", 0, "probability"), None, "findings/0/probability"),
        (("foci", 0, "nature"), "cancer", "foci/0/nature"),
        (("date",), "14.3.2026", "date"),
        (("triage", "score"), 1.5, "triage/score"),
        (("notices", 0, "code"), "No Baseline", "notices/0/code"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(path, value, says):
    data = json.loads(json.dumps(result_to_json(result())))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=f"result.json at {says}"):
        result_from_json(data)


def test_a_missing_irae_is_refused():
    with pytest.raises(ValueError, match="findings"):
        check_result(result_to_json(replace(result(), findings=result().findings[:4])))


def test_a_course_tells_tracks_episodes_and_what_is_due():
    course = Course(
        patient="P01",
        exams=(result(),),
        patterns=(
            Pattern(
                name="pseudoprogression", definition="PSP-2", answer=None, source="Seymour 2017", reasons=("open",)
            ),
        ),
        due=(
            Due(
                what="confirmation scan",
                earliest=date(2026, 4, 11),
                latest=date(2026, 5, 9),
                state=DueState.DUE,
                reason="iUPD on 2026-03-14",
            ),
        ),
    )
    data = course_to_json(course)
    assert data["tracks"]["L07"][0]["longest_mm"] == 21.0
    assert data["episodes"]["colitis"][0]["state"] == "new"
    assert data["due"][0]["between"] == ["2026-04-11", "2026-05-09"]
    json.dumps(data)
