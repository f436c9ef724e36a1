"""Rules that need more than a course of sums: LYRIC, PERCIMT, growth, confirmation runs, lean body mass."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import pytest

from irae.quant.lbm import lean_body_mass_kg, suv_to_sul
from irae.response.best import best_irecist
from irae.response.burden import confirmed_progression
from irae.response.growth import slope
from irae.response.metabolic import measurable_threshold
from irae.response.options import Options
from irae.response.patterns import LesionChange, LesionChanges, durable_kaufman, sato, tozuka, vaflard, wong, zhou
from irae.response.pet_counts import percimt_progression, score_lyric
from irae.response.values import Case, Lymphoma, PetScan, Visit, VisitKind

START = date(2024, 1, 8)


def lyric(*visits: tuple[int, float, dict[str, object]]) -> list[str | None]:
    made = [Visit(id="BL", on=START, kind=VisitKind.BASELINE, lymphoma=Lymphoma(spd_mm2=Fraction(2000)))]
    for day, spd, more in visits:
        worse = bool(more.pop("det", False))
        made.append(Visit(id=f"D{day}", on=START + timedelta(days=day), clinical_deterioration=worse,
                          lymphoma=Lymphoma(spd_mm2=Fraction(str(spd)), **more)))  # type: ignore[arg-type]
    return [a.overall for a in score_lyric(Case(id="lymphoma", visits=tuple(made))).answers]


@pytest.mark.parametrize(("visits", "expected", "why"), [
    ([(84, 3000, {})], ["IR1"], "exactly +50 % on the last day of week 12"),
    ([(85, 3000, {})], ["PD"], "a day later"),
    ([(56, 2999.9, {})], ["SD"], "just under +50 %"),
    ([(56, 3200, {"det": True})], ["PD"], "clinical deterioration"),
    ([(56, 3000, {}), (80, 3300, {})], ["IR1", "PD"], "a further 10 % confirms"),
    ([(56, 3000, {}), (112, 3200, {})], ["IR1", "IR1"], "less than 10 % since does not"),
    ([(56, 2200, {"new_lesions": 1})], ["IR2a"], "new lesion without a large rise"),
    ([(200, 2200, {"max_single_ppd_increase_pct": Fraction(50)})], ["IR2b"], "one lesion +50 %, any time"),
    ([(56, 2000, {"fdg_increase_only": True})], ["IR3"], "FDG alone"),
    ([(56, 1000, {})], ["PR"], "half"),
    ([(56, 0, {})], ["CR"], "gone"),
])
def test_lyric(visits: list[tuple[int, float, dict[str, object]]], expected: list[str], why: str) -> None:
    assert lyric(*visits) == expected, why


@pytest.mark.parametrize(("sizes_mm", "progresses"), [
    ([8, 8, 8, 8], True), ([8, 8, 8], False), ([11, 11, 11], True), ([10, 10, 10], False), ([16, 16], True),
    ([15, 15], False), ([20, 8, 8], False), ([], False),
])
def test_percimt(sizes_mm: list[int], progresses: bool) -> None:
    assert (percimt_progression([Fraction(s) for s in sizes_mm]) is not None) is progresses


def test_thresholds_of_measurable_uptake() -> None:
    liver = PetScan(liver_mean=Fraction("1.8"), liver_sd=Fraction("0.2"), blood_pool_mean=Fraction("1.2"),
                    blood_pool_sd=Fraction("0.1"))
    assert measurable_threshold(liver) == Fraction("3.1")
    diseased = PetScan(liver_mean=Fraction("1.8"), liver_sd=Fraction("0.2"), blood_pool_mean=Fraction("1.2"),
                       blood_pool_sd=Fraction("0.1"), liver_diseased=True)
    assert measurable_threshold(diseased) == Fraction("2.6")
    assert measurable_threshold(PetScan()) is None


def days(*words: tuple[int, str]) -> list[tuple[date, str | None]]:
    return [(START + timedelta(days=d), w) for d, w in words]


@pytest.mark.parametrize(("words", "expected"), [
    (days((0, "irPD"), (28, "irPD")), 0), (days((0, "irPD"), (27, "irPD")), None),
    (days((0, "irPD"), (14, "irPD"), (28, "irPD")), 0), (days((0, "irPD"), (14, "irSD"), (42, "irPD")), None),
    (days((0, "irPD"), (14, "NE"), (42, "irPD")), 0), (days((0, "irPD"),), None),
])
def test_confirmed_progression(words: list[tuple[date, str | None]], expected: int | None) -> None:
    found = confirmed_progression(words, "irPD", 28)
    assert found == (None if expected is None else START + timedelta(days=expected))


def test_confirmed_ibor() -> None:
    words = [(on, w) for on, w in days((56, "iPR"), (84, "iPR"), (112, "iUPD"), (140, "iCPD")) if w is not None]
    options = Options(confirmation_required=True)
    assert best_irecist(words, options, START).category == "iPR"
    assert best_irecist([words[0], words[2], words[3]], options, START).category == "iSD"


def test_tumour_growth_rate_of_a_doubled_volume_in_a_month_is_100_percent() -> None:
    grown = slope(Fraction(100), Fraction(100) * Fraction(2 ** (1 / 3)), 30, 30.0)
    assert grown.tgr == pytest.approx(100.0)
    assert grown.tgk == pytest.approx(25.992, abs=1e-3)
    assert slope(Fraction(100), Fraction(0), 30, 30.0).tgr is None
    with pytest.raises(ValueError, match="two scans in order"):
        slope(Fraction(1), Fraction(1), 0, 30.0)


def changes(*lesions: tuple[str, int, int], new: bool | None = False) -> LesionChanges:
    return LesionChanges(tuple(LesionChange(f"T{i}", s, a, b) for i, (s, a, b) in enumerate(lesions)), new, False)


def test_dissociated_response_by_each_definition() -> None:
    mixed = changes(("liver", 500, 300), ("lung", 200, 300))
    assert (sato(mixed), tozuka(mixed), vaflard(mixed)) == (True, True, True)
    assert zhou(mixed) is False  # needs a new lesion
    shrinking = changes(("liver", 500, 300), ("lung", 200, 100), new=True)
    assert (sato(shrinking), tozuka(shrinking), zhou(shrinking), vaflard(shrinking)) == (True, True, True, False)
    assert wong(changes(("liver", 500, 300), ("lung", 200, 200))) is True
    assert vaflard(changes(("liver", 500, 300))) is None
    assert sato(changes(("liver", 500, 300), new=None)) is None


def test_durable_response_is_undetermined_while_it_goes_on() -> None:
    assert durable_kaufman(days((56, "PR"), (112, "PR")), START, Options())[0] is None
    assert durable_kaufman(days((56, "PR"), (112, "PR")), None, Options())[0] is None
    assert durable_kaufman(days((56, "PR"), (112, "NE"), (239, "PD")), START, Options())[0] is True
    assert durable_kaufman(days((56, "SD"), (112, "PD")), START, Options())[0] is False


@pytest.mark.parametrize(("sex", "weight", "height", "formula", "kg"), [
    ("M", 70.0, 175.0, "janmahasatian", 55.857), ("F", 130.0, 165.0, "janmahasatian", 58.984),
    ("F", 60.0, 165.0, "james128", 44.630), ("M", 80.0, 200.0, "james128", 67.520),
    ("m", 80.0, 200.0, "james120", 68.8),
])
def test_lean_body_mass(sex: str, weight: float, height: float, formula: str, kg: float) -> None:
    assert lean_body_mass_kg(sex, weight, height, formula) == pytest.approx(kg, abs=1e-3)
    assert suv_to_sul(sex, weight, height, formula) == pytest.approx(kg / weight, abs=1e-4)


@pytest.mark.parametrize(("arguments", "said"), [
    (("X", 70.0, 170.0), "sex M or F"), (("M", 0.0, 170.0), "weight 0.0 kg"), (("M", 70.0, 1.7), "height 1.7 cm"),
    (("M", 70.0, 170.0, "lbm"), "must be one of"), (("F", 400.0, 140.0, "james128"), "not usable"),
])
def test_lean_body_mass_refuses(arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        lean_body_mass_kg(*arguments)  # type: ignore[arg-type]
