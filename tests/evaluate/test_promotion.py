"""A challenger takes the place only if it cannot be worse by the limit or more."""

import pytest

from irae.evaluate.promotion import LIMITS, Better, Limits, Measure, verdict


def measure(name="dice/liver", low=-0.01, high=0.03, n=40, **more) -> Measure:
    return Measure(name=name, champion=0.9, challenger=0.91, low=low, high=high, n=n, **more)


@pytest.mark.parametrize(("found", "accepted", "why"), [
    (measure(low=-0.0199), True, "just within the limit of 0.02"),
    (measure(low=-0.02), False, "at the limit"),
    (measure(low=0.05, high=0.09), True, "better"),
    (measure(n=LIMITS.least_patients - 1), False, "one patient too few"),
    (measure(n=LIMITS.least_patients), True, "just enough patients"),
    (measure(low=None, high=None), False, "no interval"),
    (measure("auroc/colitis", low=-0.029), True, "AUROC has its own limit"),
    (measure("ece/colitis", low=-0.2, high=0.029, better=Better.LOWER), True, "a falling error is good"),
    (measure("ece/colitis", low=-0.2, high=0.03, better=Better.LOWER), False, "a rising error is not"),
])
def test_the_worse_end_of_the_interval_decides(found, accepted, why):
    assert verdict([found]).accepted is accepted, why


def test_one_measure_is_enough_to_refuse_and_every_one_gives_a_reason():
    decided = verdict([measure(), measure("dice/colon", low=-0.3), measure("auroc/colitis")])
    assert not decided.accepted
    assert len(decided.reasons) == 3
    assert "may be worse by 0.300, the limit is 0.020" in decided.reasons[1]
    assert not verdict([]).accepted
    assert verdict([measure("dice/colon", low=-0.3)], Limits(dice=0.5)).accepted
