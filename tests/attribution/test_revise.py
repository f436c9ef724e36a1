from dataclasses import replace
from datetime import timedelta

import pytest

from irae.attribution.revise import revisions
from irae.core.anatomy import Irae
from irae.core.context import ContextEntry, ContextKind
from irae.core.finding import Decision
from irae.core.focus import FocusStatus, Nature
from tests.attribution.made import START, decide, finding, spot, therapy, told

FIRST, SECOND = START + timedelta(weeks=8), START + timedelta(weeks=16)


def called(nature, **more):
    """One focus of an exam, as if it had been called that."""
    (a,) = decide(spot(track="L01", organ="lung_left", **more), on=FIRST)
    p = dict.fromkeys(("inflammation", "metastasis", "physiologic"), 0.05)
    key = "metastasis" if nature is Nature.INDETERMINATE else nature.value
    return replace(a, nature=nature, probabilities=p | {key: 0.9})


def gone():
    return replace(spot(track="L01", organ="lung_left", status=FocusStatus.GONE), longest_mm=0.0, short_mm=0.0,
                   volume_ml=0.0)


def exam(*foci, on, findings=()):
    return replace(told(foci, on), findings=tuple(findings))


HEALED = (finding(Irae.PNEUMONITIS, Decision.NOT_SUSPECTED),)
ILL = (finding(Irae.PNEUMONITIS),)
ADDED = ContextEntry(kind=ContextKind.THERAPY, value="ipilimumab", start=FIRST + timedelta(days=3))


@pytest.mark.parametrize(("said", "then", "now", "context", "shown", "why"), [
    (Nature.INDETERMINATE, ILL, HEALED, therapy(), Nature.INFLAMMATION, "undecided, vanished, irAE healed"),
    (Nature.INDETERMINATE, (), (), therapy(), Nature.INFLAMMATION, "undecided and vanished with the drug going on"),
    (Nature.METASTASIS, ILL, HEALED, therapy(), Nature.INFLAMMATION, "its organ's irAE healed with it"),
    (Nature.METASTASIS, (), (), therapy(), Nature.METASTASIS, "vanishing alone does not acquit a metastasis"),
    (Nature.INDETERMINATE, ILL, HEALED, therapy(ADDED), Nature.INDETERMINATE, "a drug was added: it may have worked"),
    (Nature.INDETERMINATE, ILL, ILL, therapy(), Nature.INDETERMINATE, "the irAE goes on"),
])
def test_what_vanishing_shows(said, then, now, context, shown, why):
    earlier = exam(called(said), on=FIRST, findings=then)
    (answer,) = decide(gone(), on=SECOND, earlier=[earlier], context=context, findings=now)
    assert answer.nature is shown, why
    assert ("revises" in answer.reasons[0]) is (shown is not said)
    assert earlier.foci[0].nature is said, "the earlier result is not rewritten"


def test_vanishing_shows_nothing_while_known_lesions_respond():
    other = replace(called(Nature.METASTASIS), focus=spot(id=2, track="L02", organ="liver", longest=30.0))
    earlier = exam(called(Nature.INDETERMINATE), other, on=FIRST, findings=ILL)
    smaller = spot(id=2, track="L02", organ="liver", longest=15.0, status=FocusStatus.KNOWN)
    answer, _ = decide(gone(), smaller, on=SECOND, earlier=[earlier], findings=HEALED)
    assert answer.nature is Nature.INDETERMINATE


def test_growth_revises_what_was_called_inflammation():
    earlier = exam(called(Nature.INFLAMMATION), on=FIRST)
    grown = spot(track="L01", organ="lung_left", longest=24.0, status=FocusStatus.KNOWN, longest_change_mm=9.0)
    (answer,) = decide(grown, on=SECOND, earlier=[earlier])
    assert answer.nature is Nature.METASTASIS
    assert answer.reasons[0].startswith(f"On {FIRST.isoformat()} it was called inflammation")
    (revision,) = revisions([earlier, exam(answer, on=SECOND)])
    assert (revision.track, revision.said, revision.shown) == ("L01", Nature.INFLAMMATION, Nature.METASTASIS)
    assert (revision.said_on, revision.shown_on) == (FIRST, SECOND)


def test_becoming_undecided_or_staying_the_same_is_no_revision():
    for then, now in ((Nature.METASTASIS, Nature.INDETERMINATE), (Nature.METASTASIS, Nature.METASTASIS),
                      (Nature.INFLAMMATION, Nature.PHYSIOLOGIC)):
        assert revisions([exam(called(then), on=FIRST), exam(called(now), on=SECOND)]) == ()


def test_an_undecided_look_between_does_not_hide_a_revision():
    exams = [exam(called(n), on=FIRST + timedelta(weeks=8 * i)) for i, n in enumerate(
        (Nature.INFLAMMATION, Nature.INDETERMINATE, Nature.METASTASIS))]
    (revision,) = revisions(exams)
    assert (revision.said, revision.said_on) == (Nature.INFLAMMATION, FIRST)
