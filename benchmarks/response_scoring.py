"""How much processor time scoring takes: 10,000 patients x 6 follow-up visits by every anatomic criterion, one core.

    python benchmarks/response_scoring.py [--patients N] [--visits N]

Aim: under 10 s, and a cost that grows linearly with the visits. Patients are drawn at random (seeded); making the
cases is timed apart from scoring them. Prints one line a criterion, then the cost a visit for 6, 12, 24 and 48 visits.
"""

from __future__ import annotations

import argparse
import random
import time
from datetime import date, timedelta

from irae.response import ANATOMIC, Case, Visit, score_case
from irae.response.values import NewLesion, NonTarget, State, Target, VisitKind

SITES = ("liver", "lung", "adrenal", "bone", "lymph_node")


def draw_case(rng: random.Random, number: int, visits: int) -> Case:
    """A patient with one to five targets that drift, a non-target, now and then a new lesion or a missing target."""
    count = rng.randint(1, 5)
    sizes = [rng.randint(150, 600) for _ in range(count)]
    start = date(2024, 1, 8)
    new_from = rng.randint(1, 3 * visits)
    made = []
    for n in range(visits + 1):
        targets = []
        for i in range(count):
            node = i == 4
            if n:
                sizes[i] = max(0, int(sizes[i] * rng.uniform(0.75, 1.2)))
            missing = n > 0 and rng.random() < 0.02
            state = State.NOT_EVALUATED if missing else (State.MEASURED if sizes[i] >= 20 or n == 0 else State.ABSENT)
            measured = state is State.MEASURED
            short = int(sizes[i] * 0.8) if measured else None
            targets.append(Target(id=f"T{i}", site=SITES[i], is_node=node, state=state,
                                  longest=sizes[i] if measured else None, short=short, injected=i % 2 == 0))
        new = ()
        if n >= new_from:
            size = 100 + 10 * (n - new_from)
            new = (NewLesion(id="L1", site="lung", state=State.MEASURED, longest=size, short=size - 20),)
        made.append(Visit(
            id=f"V{n}", on=start + timedelta(days=56 * n), kind=VisitKind.FOLLOWUP if n else VisitKind.BASELINE,
            targets=tuple(targets), non_targets=(NonTarget(id="NT1", site="pleura"),), new_lesions=new,
        ))
    return Case(id=f"P{number}", visits=tuple(made))


def timed(cases: list[Case], criteria: tuple[str, ...] = ANATOMIC) -> dict[str, float]:
    seconds = {}
    for name in criteria:
        began = time.process_time()
        for case in cases:
            score_case(case, name)
        seconds[name] = time.process_time() - began
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--visits", type=int, default=6)
    arguments = parser.parse_args()
    rng = random.Random(7)
    began = time.process_time()
    cases = [draw_case(rng, n, arguments.visits) for n in range(arguments.patients)]
    print(f"{arguments.patients} patients x {arguments.visits} visits; made in {time.process_time() - began:.1f} s")
    seconds = timed(cases)
    for name, took in seconds.items():
        print(f"  {name:12s} {took:6.2f} s  {1e6 * took / arguments.patients / arguments.visits:6.1f} us a visit")
    print(f"  {'all':12s} {sum(seconds.values()):6.2f} s (aim: under 10 s)")
    print("cost a visit by number of visits:")
    for visits in (6, 12, 24, 48):
        cases = [draw_case(rng, n, visits) for n in range(300)]
        took = sum(timed(cases).values())
        print(f"  {visits:3d} visits  {1e6 * took / 300 / visits:6.1f} us a visit, all anatomic criteria")


if __name__ == "__main__":
    main()
