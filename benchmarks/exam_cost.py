"""What one large exam costs: findings, foci, attribution and scoring of a 512 x 512 x 300 CT with its PET.

    python benchmarks/exam_cost.py [--seed 9970] [--profile]

A synthetic patient is drawn at 4 mm and its CT and true organs are sampled at 0.8 x 0.8 x 3 mm, with noise, so that the
arrays have the size of a real exam; organs are given, as the networks' cost is not this one. Wall and CPU seconds by
step in one thread, then of all together as the pipeline runs them (organs are measured while foci are searched for),
each the best of --repeat runs.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, ClassVar

import numpy as np
from _phantom_cohort import WEIGHTS

from irae.attribution import attribute
from irae.attribution.learned import LearnedModel
from irae.core.exam import Exam, Role
from irae.core.finding import Quantities
from irae.core.geometry import Geometry
from irae.core.result import ExamResult
from irae.core.triage import Priority, Triage
from irae.core.volume import LabelMap, Volume
from irae.findings import assess_findings, assess_further, measure, measure_foci
from irae.lesions import find_foci
from irae.models.attribution_package import ATTRIBUTION_FOLDER, load_attribution
from irae.pipeline import Stages, acquisition_quantities, assess_exam, scorable_course, unseen_organs
from irae.quant.resample import labels_onto, onto_grid
from irae.quant.uptake import uptake_reference
from irae.response.views import assess_course
from irae.training.attribution_cases import VERSIONS, draw, render

SHAPE, SPACING_MM, NOISE_HU = (512, 512, 300), (0.8, 0.8, 3.0), 12.0


def large_exam(seed: int) -> tuple[Exam, LabelMap]:
    """A PET/CT whose CT is 512 x 512 x 300 around the trunk, and its organs on that grid."""
    shown = render(draw(seed, 1), 0, 4.0)
    assert shown.exam.ct is not None
    assert shown.organs is not None
    coarse = shown.exam.ct.geometry
    middle = coarse.to_world((np.array(coarse.shape) - 1) / 2.0)
    low = middle - np.array(SHAPE) * np.array(SPACING_MM) / 2.0
    fine = Geometry.axis_aligned(SHAPE, SPACING_MM, (float(low[0]), float(low[1]), float(low[2])))
    hu = onto_grid(shown.exam.ct.array, coarse, fine, order=1, outside=-1024.0)
    hu += np.random.default_rng(seed).standard_normal(SHAPE, dtype=np.float32) * np.float32(NOISE_HU)
    ct = Volume(array=hu, geometry=fine, quantity=shown.exam.ct.quantity)
    exam = replace(shown.exam, volumes={**shown.exam.volumes, Role.CT: ct})
    return exam, labels_onto(shown.organs, fine)


def steps(exam: Exam, organs: LabelMap) -> dict[str, tuple[float, float]]:
    """Wall and CPU seconds by step."""
    spent: dict[str, tuple[float, float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = work()
        before = spent.get(name, (0.0, 0.0))
        spent[name] = before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu
        return answer

    assert exam.pet is not None
    pet = exam.pet
    reference = timed("findings", lambda: uptake_reference(pet, organs))
    measured = timed("findings", lambda: measure(exam, organs, None, reference))
    quantities = Quantities({**measured.values, **acquisition_quantities(exam, reference)})
    findings = timed("findings", lambda: assess_findings(
        exam, organs=organs, pituitary=None, quantities=quantities, learned={}, earlier=[]))
    found = timed("foci", lambda: find_foci(exam, organs=organs, reference=reference))
    foci = found.foci
    further = timed("findings", lambda: Quantities({**quantities.values, **measure_foci(foci, exam, organs)}))
    findings += timed("findings", lambda: assess_further(exam, organs=organs, quantities=further, earlier=[]))
    attributed = timed("attribution", lambda: attribute(
        foci, findings=findings, quantities=further, context=exam.context, on=exam.acquired_on, reference=reference,
        earlier=[], unseen=unseen_organs(organs)))
    result = ExamResult(
        patient=exam.patient, acquired_on=exam.acquired_on, modalities=("CT", "PT"), organs={}, quantities=further,
        findings=findings, foci=attributed, assessments=(), hinges_on=(), notices=(), versions=VERSIONS,
        triage=Triage(priority=Priority.ROUTINE, score=0.0, acr_category=None, reasons=()),
    )

    def scored() -> object:
        before = replace(result, acquired_on=result.acquired_on - timedelta(days=60))
        course, baseline = scorable_course([before, result], exam.context)
        return assess_course(course, criteria=None, baseline_index=baseline)

    timed("scoring", scored)
    print(f"{len(foci)} foci")
    return spent


class Given:
    """A segmenter that is given its answer."""

    name: ClassVar[str] = "given"
    digests: ClassVar[Mapping[str, str]] = {}

    def __init__(self, organs: LabelMap) -> None:
        self._organs = organs

    def for_exam(self, patient: str, acquired_on: date) -> Given:
        """The same for every exam."""
        return self

    def segment_ct(self, ct: Volume) -> LabelMap:
        """The given organs."""
        return self._organs

    def segment_mr(self, mr: Volume) -> LabelMap:
        """Never asked: there is no MR."""
        raise NotImplementedError


def together(exam: Exam, organs: LabelMap, attribution: LearnedModel | None) -> tuple[float, float]:
    """Wall and CPU seconds of the whole, organs known."""
    stages = Stages(segmenter=Given(organs), classifier=None, attribution=attribution)
    wall, cpu = time.perf_counter(), time.process_time()
    assess_exam(exam, history=[], images=[], stages=stages, versions=VERSIONS)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Makes the exam, times its steps, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=9970)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="prints where the time goes")
    args = parser.parse_args()
    exam, organs = large_exam(args.seed)
    profile = cProfile.Profile()
    if args.profile:
        profile.runcall(steps, exam, organs)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
        return
    runs = [steps(exam, organs) for _ in range(args.repeat)]
    best = min(runs, key=lambda run: sum(wall for wall, _ in run.values()))
    print("| step | wall s | CPU s |\n|---|---|---|")
    for name, (wall, cpu) in best.items():
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |")
    print(f"| sum | {sum(w for w, _ in best.values()):.2f} | {sum(c for _, c in best.values()):.2f} |")
    model = load_attribution(WEIGHTS / ATTRIBUTION_FOLDER)[0]
    wall, cpu = min(together(exam, organs, model) for _ in range(args.repeat))
    print(f"| together, with the learned model | {wall:.2f} | {cpu:.2f} |")


if __name__ == "__main__":
    main()
