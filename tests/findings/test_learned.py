"""The learned severity: a line of evidence, and the answer's severity where the rules could judge nothing."""

import pytest

from irae.core.anatomy import Irae
from irae.core.finding import LearnedScore
from irae.findings.learned import learned_severity, severity_evidence


def score(severity):
    return LearnedScore(
        irae=Irae.COLITIS, probability=0.9, threshold=0.5, calibrated=True, model="m", severity=severity
    )


@pytest.mark.parametrize(("severity", "met"), [(0, False), (1, True), (3, True)])
def test_it_is_listed_under_its_own_name(severity, met):
    (line,) = severity_evidence(score(severity))
    assert (line.name, line.value, line.met) == ("learned_severity", severity, met)


@pytest.mark.parametrize(("learned", "severity"), [(None, 1), (score(None), 1), (score(0), 1), (score(3), 3)])
def test_a_suspected_irae_has_at_least_severity_1(learned, severity):
    assert learned_severity(learned) == severity
    assert severity_evidence(None) == severity_evidence(score(None)) == ()


def test_a_severity_is_0_to_3():
    with pytest.raises(ValueError, match=r"0\.\.3"):
        score(4)
