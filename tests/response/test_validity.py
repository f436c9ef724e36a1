"""Measurability and the choice of targets, at, just under and just over each limit."""

from __future__ import annotations

from fractions import Fraction

import pytest

from irae.response.options import Options
from irae.response.validity import is_measurable, node_class, violations
from irae.response.values import Imaging, Target, Visit, VisitKind
from tests.response.notation import DAY_ZERO

CT5, CT8 = Imaging(slice_mm=Fraction(5)), Imaging(slice_mm=Fraction(8))


def lesion(size: int, *, is_node: bool = False, disease: str = "") -> Target:
    return Target(id="T1", site="liver", is_node=is_node, longest=None if is_node else size,
                  short=size if is_node else None, disease=disease)


@pytest.mark.parametrize(("target", "imaging", "expected", "why"), [
    (lesion(100), CT5, True, "10.0 mm on thin slices"),
    (lesion(99), CT5, False, "9.9 mm"),
    (lesion(160), CT8, True, "16.0 mm is twice an 8 mm slice"),
    (lesion(159), CT8, False, "15.9 mm is less than twice an 8 mm slice"),
    (lesion(200), Imaging(modality="CXR"), True, "20 mm on chest X-ray"),
    (lesion(199), Imaging(modality="CXR"), False, "19.9 mm on chest X-ray"),
    (lesion(100), Imaging(modality="MR"), True, "MRI as CT"),
    (lesion(150, is_node=True), CT5, True, "node of 15.0 mm short axis"),
    (lesion(149, is_node=True), CT5, False, "node of 14.9 mm short axis"),
    (lesion(159, is_node=True), CT8, False, "DEC-05: 2 x 8 mm"),
    (lesion(160, is_node=True), CT8, True, "DEC-05: 2 x 8 mm"),
    (lesion(900, disease="ascites"), CT5, False, "ascites is never measurable"),
])
def test_measurable(target: Target, imaging: Imaging, expected: bool, why: str) -> None:
    assert is_measurable(target, imaging, Options()) is expected, why


def test_dec_05_alternative() -> None:
    assert is_measurable(lesion(150, is_node=True), CT8, Options(node_slices="15_mm"))


@pytest.mark.parametrize(("short", "expected"), [
    (99, "normal"), (100, "pathological_non_target"), (149, "pathological_non_target"), (150, "target_eligible"),
])
def test_node_class(short: int, expected: str) -> None:
    assert node_class(short) == expected


def test_limits_of_the_choice() -> None:
    sites = ("liver", "liver", "lung", "lung", "adrenal", "bone")
    targets = tuple(Target(id=f"T{i}", site=s, longest=100) for i, s in enumerate(sites))

    def broken(chosen: tuple[Target, ...]) -> tuple[str, ...]:
        baseline = Visit(id="BL", on=DAY_ZERO, kind=VisitKind.BASELINE, targets=chosen)
        return violations(baseline, CT5, Options())

    assert broken(targets[:5]) == ()
    assert broken(targets) == ("max_targets",)
    third = Target(id="T9", site="liver", longest=99)
    assert broken((*targets[:2], third)) == ("max_per_organ:liver", "not_measurable:T9")
