"""Foci, their sizes, tracks and natures against the truth of synthetic patients. Proves plumbing, not accuracy.

    python benchmarks/lesions_on_phantom.py --patients 16 --seed 9200 [--spacing 2.5] [--visits 3]
        [--segmenter truth|packaged] [--images petct|ct] [--cache DIR]

``truth`` masks test finding, measuring, matching and attribution alone; ``packaged`` masks are what users get. ``ct``
leaves the PET out. ``--cache`` keeps rendered exams and found masks in a folder (delete it when the phantom changes).
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from irae.attribution import attribute
from irae.core.exam import Role
from irae.core.finding import Quantities
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.geometry import Geometry
from irae.core.result import ExamResult, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import LabelMap, Volume
from irae.findings import assess_findings, measure
from irae.lesions import EarlierExam, find_foci, match_foci
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import body_geometry, render_exam
from irae.phantom.shapes import rotation
from irae.phantom.spots import Spot, spots
from irae.phantom.truth import FocusTruth, PhantomExam
from irae.pipeline import unseen_organs
from irae.quant.uptake import uptake_reference

MEASURABLE_MM = 10.0


@dataclass
class Tally:
    """What was counted over all exams."""

    exams: int = 0
    metastases: int = 0
    metastases_found: int = 0
    by_organ: Counter[tuple[str, bool]] = field(default_factory=Counter)
    false_foci: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    differences_mm: list[tuple[bool, float]] = field(default_factory=list)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    scores: list[tuple[str, float, float]] = field(default_factory=list)
    tracks: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    seconds: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Drawn:
    """One exam and the true longest axial diameter (mm) of everything focal in it, by track."""

    shown: PhantomExam
    longest_mm: dict[str, float]


def axial_longest_mm(spot: Spot) -> float:
    """The longest diameter that any axial plane cuts out of the drawn ellipsoid: that of its central section."""
    turn = rotation(spot.shape.turn_deg)
    inverse = turn @ np.diag(1.0 / np.array(spot.shape.semi) ** 2) @ turn.T
    return float(2.0 / np.sqrt(np.linalg.eigvalsh(inverse[:2, :2])[0]))


def render(patient: Patient, visit: int, spacing_mm: float) -> PhantomExam:
    """One exam: CT at the asked spacing, PET at 4 mm, no MR."""
    ct = body_geometry(patient, visit, (spacing_mm, spacing_mm, spacing_mm))
    return render_exam(patient, visit, ct_geometry=ct, with_pet=True, with_mr=False)


def drawn_course(seed: int, visits: int, spacing_mm: float, cache: Path | None) -> list[Drawn]:
    """All exams of a patient; read from the cache where they were rendered before."""
    kept = None if cache is None else cache / f"{seed}_{visits}_{spacing_mm:g}.pickle"
    if kept is not None and kept.exists():
        drawn: list[Drawn] = pickle.loads(kept.read_bytes())
        return drawn
    patient = draw_patient(np.random.default_rng(seed), visits=visits, key=f"P{seed}", seed=seed,
                           plan=VisitPlan(has_pet=True, mr=False))
    drawn = [
        Drawn(render(patient, visit, spacing_mm), {s.track: axial_longest_mm(s) for s in spots(patient, visit)})
        for visit in range(visits)
    ]
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(drawn, protocol=5))
    return drawn


def packaged_masks(cache: Path | None) -> Callable[[Volume, str], LabelMap]:
    """Organs as users get them: found by the packaged network."""
    from irae.models.runtime import Device
    from irae.models.segmenters import PackagedSegmenter

    segmenter = PackagedSegmenter.from_folder(Path(__file__).parents[1] / "weights", device=Device.CPU)
    digest = "".join(segmenter.digests.values()).replace("sha256:", "")[:12]

    def segment(ct: Volume, name: str) -> LabelMap:
        kept = None if cache is None else cache / f"{name}_{digest}.pickle"
        if kept is not None and kept.exists():
            found: LabelMap = pickle.loads(kept.read_bytes())
            return found
        found = segmenter.segment_ct(ct)
        if kept is not None:
            kept.write_bytes(pickle.dumps(found, protocol=5))
        return found

    return segment


def run_course(
    course: list[Drawn], tally: Tally, *, masks: Callable[[Volume, str], LabelMap] | None = None, with_pet: bool = True
) -> list[EarlierExam]:
    """All exams of one patient through finding, matching and attribution, counted; true organs without ``masks``."""
    earlier: list[EarlierExam] = []
    for visit, drawn in enumerate(course):
        exam, organs = drawn.shown.exam, drawn.shown.organs
        if masks is not None and exam.ct is not None:
            organs = masks(exam.ct, f"{exam.patient}_{visit}_{len(course)}_{exam.ct.geometry.spacing_mm[0]:g}")
        if not with_pet:
            exam = replace(exam, volumes={role: v for role, v in exam.volumes.items() if role is not Role.PET})
        past = [e.result for e in earlier]
        reference = uptake_reference(exam.pet, organs) if exam.pet is not None else None
        quantities = measure(exam, organs, None, reference)
        findings = assess_findings(exam, organs=organs, pituitary=None, quantities=quantities, learned={}, earlier=past)
        clock = time.process_time()
        found = find_foci(exam, organs=organs, reference=reference)
        tally.seconds["find"] += time.process_time() - clock
        clock = time.process_time()
        foci = match_foci(found, exam, organs=organs, earlier=earlier)
        tally.seconds["match"] += time.process_time() - clock
        clock = time.process_time()
        attributed = attribute(foci, findings=findings, quantities=quantities, context=exam.context,
                               on=exam.acquired_on, reference=reference, earlier=past, unseen=unseen_organs(organs))
        tally.seconds["attribute"] += time.process_time() - clock
        result = ExamResult(
            patient=exam.patient, acquired_on=exam.acquired_on, modalities=("CT", "PT"), organs={},
            quantities=Quantities(quantities.values), findings=findings, foci=attributed, assessments=(), hinges_on=(),
            triage=Triage(priority=Priority.ROUTINE, score=0.0, acr_category=None, reasons=()), notices=found.notices,
            versions=Versions(irae="benchmark", models={}, settings=""),
        )
        earlier.append(EarlierExam(result, exam, organs))
        _count(exam.patient, visit, drawn, attributed, found.labels, found.geometry, tally)
    return earlier


def _count(
    patient: str, visit: int, drawn: Drawn, attributed: tuple[AttributedFocus, ...], labels: np.ndarray,
    grid: Geometry, tally: Tally,
) -> None:
    tally.exams += 1
    here = [a for a in attributed if a.focus.status is not FocusStatus.GONE]
    shown = drawn.shown
    taken: set[int] = set()
    for truth in shown.truth.lesions:
        index = grid.to_index(truth.centre_ras_mm)
        if (index < 0).any() or (index > np.array(grid.shape) - 1).any():
            continue
        longest = drawn.longest_mm[truth.track]
        hit = _hit(truth, here, labels, grid)
        name = f"{patient}/{visit} {truth.track} {truth.kind} {truth.organ} {longest:.0f} mm SUV {truth.suv:.1f}"
        if truth.nature is Nature.METASTASIS and longest >= MEASURABLE_MM:
            tally.metastases += 1
            tally.metastases_found += hit is not None
            tally.by_organ[truth.organ, hit is not None] += 1
            if hit is None:
                tally.missed.append(name)
        if hit is None:
            continue
        taken.add(hit.focus.id)
        tally.tracks[patient, truth.track].append(hit.focus.track)
        tally.confusion[truth.nature.value, hit.nature.value] += 1
        tally.scores.append((truth.nature.value, hit.score, hit.focus.suv_max or 0.0))
        if hit.nature is not truth.nature:
            tally.wrong.append(f"{name} -> {hit.nature.value} ({hit.score:+.1f}): {' '.join(hit.reasons[:3])}")
        if truth.nature is Nature.METASTASIS and longest >= MEASURABLE_MM and not hit.focus.features["picture"]:
            tally.differences_mm.append((bool(hit.focus.features["size_from_ct"]), hit.focus.longest_mm - longest))
    inflamed = {t.organ for t in shown.truth.foci if t.nature is Nature.INFLAMMATION}
    true_organ = _true_organs(labels, grid, shown)
    for truth in shown.truth.foci:
        for a in here:
            known = a.focus.organ or "", true_organ.get(a.focus.id, "")
            if a.focus.id not in taken and any(organ.startswith(truth.organ) for organ in known):
                if truth.nature is Nature.PHYSIOLOGIC and truth.organ in inflamed:
                    continue
                taken.add(a.focus.id)
                tally.confusion[f"{truth.nature.value} ({truth.organ})", a.nature.value] += 1
                if a.nature is not truth.nature:
                    tally.wrong.append(f"{patient}/{visit} {truth.kind} -> {a.nature.value} ({a.score:+.1f}) "
                                       f"{a.focus.longest_mm:.0f} mm: {' '.join(a.reasons[:3])}")
    for a in here:
        if a.focus.id not in taken:
            whole = bool(a.focus.features["picture"])
            tally.confusion["nothing drawn (whole organ)" if whole else "nothing drawn", a.nature.value] += 1
            # The uptake of a whole organ is its picture, not a false focus.
            if a.nature is not Nature.PHYSIOLOGIC and not whole:
                x, y, z = a.focus.centroid_ras_mm
                tally.false_foci.append(
                    f"{patient}/{visit} #{a.focus.id} {a.focus.source.value} {a.focus.organ} "
                    f"({x:.0f}, {y:.0f}, {z:.0f}) {a.focus.longest_mm:.0f} mm SUV {a.focus.suv_max or 0:.1f} "
                    f"-> {a.nature.value}: {a.reasons[0]}")


def _true_organs(labels: np.ndarray, grid: Geometry, shown: PhantomExam) -> dict[int, str]:
    """Focus to the true organ that holds most of it."""
    organs = shown.organs
    if organs is None or not organs.geometry.same_grid(grid):
        return {}
    held = {}
    for focus, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is not None:
            counts = np.bincount(organs.array[box][labels[box] == focus], minlength=256)
            held[focus] = organs.name_of(int(counts.argmax())) or ""
    return held


def _hit(
    truth: FocusTruth, here: list[AttributedFocus], labels: np.ndarray, grid: Geometry
) -> AttributedFocus | None:
    """The focal finding on a lesion: the one painted at its centre, else the nearest within its reach."""
    i, j, k = np.clip(np.round(grid.to_index(truth.centre_ras_mm)).astype(int), 0, np.array(grid.shape) - 1)
    at_centre = next((a for a in here if a.focus.id == labels[i, j, k]), None)
    if at_centre is not None and not at_centre.focus.features["picture"]:
        return at_centre
    focal = [a for a in here if not a.focus.features["picture"]]
    distance = {a.focus.id: float(np.linalg.norm(np.subtract(a.focus.centroid_ras_mm, truth.centre_ras_mm)))
                for a in focal}
    nearest = min(focal, key=lambda a: distance[a.focus.id], default=None)
    reach = max(8.0, 0.5 * truth.diameters_mm[0])
    return nearest if nearest is not None and distance[nearest.focus.id] <= reach else None


def auroc(positive: list[float], negative: list[float]) -> float:
    """Probability that a positive scores above a negative, ties half."""
    if not positive or not negative:
        return float("nan")
    difference = np.subtract.outer(np.array(positive), np.array(negative))
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def report(tally: Tally, *, details: bool) -> None:
    """Prints the table."""
    print(f"exams {tally.exams}; find {tally.seconds['find'] / tally.exams:.1f} s, "
          f"match {tally.seconds['match'] / tally.exams:.1f} s, "
          f"attribute {tally.seconds['attribute'] / tally.exams:.2f} s of CPU an exam")
    print(f"metastases >= {MEASURABLE_MM:g} mm found: {tally.metastases_found}/{tally.metastases}"
          f" = {tally.metastases_found / max(1, tally.metastases):.3f}")
    organs = sorted({organ for organ, _ in tally.by_organ})
    print("  by organ: " + ", ".join(
        f"{o} {tally.by_organ[o, True]}/{tally.by_organ[o, True] + tally.by_organ[o, False]}" for o in organs))
    print(f"false foci (nothing drawn, not an organ's picture, not called physiologic): "
          f"{len(tally.false_foci) / tally.exams:.2f} an exam")
    for name, chosen in (("CT", [d for ct, d in tally.differences_mm if ct]),
                         ("PET", [d for ct, d in tally.differences_mm if not ct]),
                         ("all", [d for _, d in tally.differences_mm])):
        if len(chosen) > 1:
            mean, sd = float(np.mean(chosen)), float(np.std(chosen, ddof=1))
            print(f"longest diameter from {name} (n={len(chosen)}): bias {mean:+.1f} mm, "
                  f"limits of agreement {mean - 1.96 * sd:+.1f} .. {mean + 1.96 * sd:+.1f} mm")
    repeated = [t for t in tally.tracks.values() if len(t) > 1]
    same = sum(len(set(t)) == 1 for t in repeated)
    print(f"one track id over all exams in which it was seen: {same}/{len(repeated)}")
    tumour = [(-s, u) for n, s, u in tally.scores if n == "metastasis"]
    inflamed = [(-s, u) for n, s, u in tally.scores if n == "inflammation"]
    by_score, by_uptake = (auroc([t[at] for t in tumour], [i[at] for i in inflamed]) for at in (0, 1))
    print(f"focal metastasis against focal inflammation: AUROC {by_score:.2f} by the score, {by_uptake:.2f} by SUVmax")
    natures = [n.value for n in Nature]
    print(f"{'truth':28s}" + "".join(f"{n:>15s}" for n in natures))
    for truth in sorted({t for t, _ in tally.confusion}):
        print(f"{truth:28s}" + "".join(f"{tally.confusion[truth, n]:15d}" for n in natures))
    if details:
        for title, lines in (("missed", tally.missed), ("false", tally.false_foci), ("wrong", tally.wrong)):
            print(f"-- {title}", *lines, sep="\n")


def main() -> None:
    """Draws patients, runs them, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--seed", type=int, default=5000)
    parser.add_argument("--visits", type=int, default=3)
    parser.add_argument("--spacing", type=float, default=2.5, help="CT voxels, mm")
    parser.add_argument("--segmenter", choices=("truth", "packaged"), default="truth")
    parser.add_argument("--images", choices=("petct", "ct"), default="petct")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--details", action="store_true")
    args = parser.parse_args()
    tally = Tally()
    masks = packaged_masks(args.cache) if args.segmenter == "packaged" else None
    for seed in range(args.seed, args.seed + args.patients):
        course = drawn_course(seed, args.visits, args.spacing, args.cache)
        run_course(course, tally, masks=masks, with_pet=args.images == "petct")
    report(tally, details=args.details)


if __name__ == "__main__":
    main()
