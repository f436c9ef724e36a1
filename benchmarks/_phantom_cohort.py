"""Courses of synthetic patients for the benchmarks: made once by the product's own pipeline, then kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from irae.training.attribution_cases import Case, CasePlan, cases

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
# Patients whose metastases swell at the second exam and shrink at the third: too rare (1 in 10) to wait for.
PSEUDOPROGRESSION_SEED = 500_000


def plans(
    *, patients: int, seed: int, visits: int, spacing_mm: float, packaged: bool, pseudoprogressions: int = 0
) -> dict[int, CasePlan]:
    """A plan per seed: patients as they come, then forced pseudoprogressions of three exams."""
    def plan(visits: int, course: str | None = None) -> CasePlan:
        return CasePlan(spacing_mm=spacing_mm, packaged=packaged, weights=str(WEIGHTS), visits=visits, course=course)

    forced = range(seed + PSEUDOPROGRESSION_SEED, seed + PSEUDOPROGRESSION_SEED + pseudoprogressions)
    return {one: plan(visits) for one in range(seed, seed + patients)} | {
        one: plan(min(visits, 3), "pseudoprogression") for one in forced
    }


def is_forced(seed: int) -> bool:
    """Whether a seed of ``plans`` is a forced pseudoprogression."""
    return seed >= PSEUDOPROGRESSION_SEED


def cohort(chosen: dict[int, CasePlan], *, keep: Path, workers: int) -> Sequence[Case]:
    """The courses, from ``keep`` where the same code made them before; one line a patient."""
    made = []
    for case in cases(chosen, keep, workers=workers):
        made.append(case)
        print(f"  patient {case.seed}: {len(case.exams)} exams ({len(made)} of {len(chosen)})", flush=True)
    return made
