"""The fitted fusion: what it takes, when it is left alone, and what it cannot rule out."""

from __future__ import annotations

import json

import pytest

from irae.core.anatomy import Irae
from irae.core.exam import Role
from irae.core.finding import Decision, LearnedScore
from irae.findings import assess_findings, uncertain_notices
from irae.findings.assess import inputs_for_fusion
from irae.findings.fusion import ARMS, INPUTS, FittedFusion, FittedIrae, fitted_fuse
from irae.io.fusion_card import FUSION_FILE, RECORD, FusionError, find_fusion, load_fusion, save_fusion
from tests.findings.exams import ALL_CT, exam, numbers

NOTHING = dict.fromkeys(INPUTS, 0.0)


def fitted(**changes):
    values = {
        "coefficients": {**dict.fromkeys(INPUTS, 0.0), "rule_log_odds": 0.7, "learned_log_odds": 0.5},
        "intercept": -0.2, "scale": 1.1, "offset": 0.1, "threshold": 0.6, "coverage": 0.9, "suspected_from": -0.5,
        "not_suspected_to": 0.5, "classifier": "sha256:1",
    }
    return FittedIrae(**{**values, **changes})


def learned(probability, model="sha256:1"):
    return LearnedScore(irae=Irae.COLITIS, probability=probability, threshold=0.5, calibrated=True, model=model)


def test_more_of_an_arm_never_lowers_the_answer():
    for arm in ARMS:
        answers = [fitted().log_odds({**NOTHING, arm: x}) for x in (-8.0, 0.0, 8.0)]
        assert answers == sorted(answers)
    with pytest.raises(ValueError, match="must not be negative"):
        fitted(coefficients={**dict.fromkeys(INPUTS, 0.0), "rule_log_odds": -0.1})


def test_a_group_may_count_less_but_never_against_itself():
    lighter = fitted(coefficients={**fitted().coefficients, "rule.wall": -0.6})
    assert lighter.log_odds({**NOTHING, "rule_log_odds": 2.0, "rule.wall": 2.0}) == pytest.approx(-0.2 + 0.1 * 2.0)
    assert lighter.log_odds({**NOTHING, "rule_log_odds": 2.0}) == fitted().log_odds({**NOTHING, "rule_log_odds": 2.0})
    with pytest.raises(ValueError, match="must not speak against"):
        fitted(coefficients={**fitted().coefficients, "rule.wall": -0.8})


def test_the_groups_are_told_to_the_fusion():
    told = inputs_for_fusion(
        Irae.COLITIS, exam(Role.CT, Role.PET), labels=ALL_CT, learned=None, earlier=(),
        quantities=numbers(colon__wall_p90_mm=9.0, colon__suv95=1.0),
    )
    assert told["rule.wall"] == pytest.approx(3.0)
    assert told["rule.uptake"] == pytest.approx(-0.4)
    assert "rule.fat" not in told, "nothing of it was measured"
    assert told["rule_log_odds"] == pytest.approx(-1.5 + 3.0 - 0.4)


@pytest.mark.parametrize(("score", "never", "word"), [
    (None, (), ""),
    (learned(0.9, "sha256:2"), (), "another classifier"),
    (learned(0.9), ("pet_missing",), "pet_missing"),
])
def test_it_is_left_alone_where_it_does_not_hold(score, never, word):
    fused, why = fitted_fuse({**NOTHING, "pet_missing": 1.0}, score, fitted(never_seen=never))
    assert fused is None
    assert word in why


@pytest.mark.parametrize(("rule", "members"), [(-3.0, (False, True)), (0.0, (True, True)), (3.0, (True, False))])
def test_conformal_set(rule, members):
    fused, _ = fitted_fuse({**NOTHING, "rule_log_odds": rule}, learned(0.5), fitted())
    assert (fused.conformal.suspected, fused.conformal.not_suspected) == members
    assert fused.conformal.uncertain is (members[0] == members[1])


def test_it_decides_and_says_where_it_is_uncertain():
    found = assess_findings(
        exam(Role.CT, Role.PET), organs=ALL_CT, pituitary=None, quantities=numbers(colon__wall_p90_mm=4.6), earlier=(),
        learned={Irae.COLITIS: learned(0.5)},
        fusion=FittedFusion(iraes={Irae.COLITIS: fitted(suspected_from=-9.0, not_suspected_to=9.0)}),
    )
    colitis = found[0]
    assert colitis.threshold == 0.6
    assert colitis.conformal is not None
    assert any(r.startswith("Uncertain") for r in colitis.reasons)
    assert [n.code for n in uncertain_notices(found)] == ["uncertain_colitis"]
    assert colitis.decision in (Decision.SUSPECTED, Decision.NOT_SUSPECTED)
    assert found[1].conformal is None, "no fit for the others: design weights"


RECORDED = {**dict.fromkeys(RECORD, ""), "models": {"colitis": "sha256:1"},
            "metrics": {"colitis/auroc": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 10}}}


def test_a_package_comes_back_and_a_changed_one_is_refused(tmp_path):
    fusion = FittedFusion(iraes={Irae.COLITIS: fitted(never_seen=("steroid",))})
    folder = save_fusion(tmp_path / "fusion", fusion, RECORDED)
    again, document = load_fusion(folder)
    assert again.iraes[Irae.COLITIS] == fusion.iraes[Irae.COLITIS]
    assert again.digest.startswith("sha256:")
    assert document["models"] == {"colitis": "sha256:1"}
    assert find_fusion(tmp_path) == folder
    text = (folder / FUSION_FILE).read_text()
    for changed, word in (
        (text.replace('"threshold": 0.6', '"threshold": 0.1'), "sha256"), ("{}", "cannot be read"),
        ("no json", "cannot be read"), (text.replace("irae.fusion/1", "irae.fusion/9"), "schema"),
    ):
        (folder / FUSION_FILE).write_text(changed)
        with pytest.raises(FusionError, match=word):
            load_fusion(folder)
    document = json.loads(text)
    assert document["inputs"] == list(INPUTS)
    assert find_fusion(tmp_path / "fusion" / "nothing") is None
    with pytest.raises(ValueError, match="lacks"):
        save_fusion(tmp_path / "x", fusion, {})
