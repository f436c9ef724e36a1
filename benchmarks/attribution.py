"""One table: foci, sizes, natures, tracks and response categories against the truth of synthetic patients.

    python benchmarks/attribution.py --patients 8 --seed 9600 --masks packaged [--spacing 3] [--visits 4]

Categories are counted apart in patients as they come, one in ten of them a pseudoprogression, and in the ones forced to
swell first: these are added because the former are too rare to count the latter by, and their third exam lies on the
limit of partial response by design (0.56 to 0.83 of the baseline's diameter).

Three arms on the same foci: SUVmax alone, the evidence score, the learned model of weights/attribution. It proves
plumbing, not clinical accuracy. What was found on a patient is kept in --keep, so that a run goes on where it stopped
and attribution is measured again in seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import gettempdir

import numpy as np
from _phantom_cohort import WEIGHTS, cohort, is_forced, plans

from irae.attribution.learned import LearnedModel
from irae.core.assessment import View
from irae.core.focus import Nature
from irae.core.result import ExamResult
from irae.models.attribution_package import ATTRIBUTION_FOLDER, load_attribution
from irae.response.readings import READING_RULES
from irae.training.attribution_cases import Case, decided_again
from irae.training.attribution_measure import (
    Answered,
    Call,
    called,
    calls,
    calls_by_suv_max,
    categories,
    diameter_errors_mm,
    false_foci,
    indeterminate,
    macro_auroc,
    metastases_found,
    one_track,
    pseudoprogression,
)

EVIDENCE, LEARNED, SUV_MAX = "evidence score", "learned model", "SUVmax alone"


def share(counts: tuple[int, int]) -> str:
    """``3/60 = 0.050``."""
    part, whole = counts
    return f"{part}/{whole}" + (f" = {part / whole:.3f}" if whole else "")


def equal(answered: Sequence[Answered], criterion: str, view: str, *, forced: bool) -> str:
    """How many categories are the truth's: of the patients as they come, or of the forced pseudoprogressions."""
    own = [a for a in answered if a.criterion == criterion and is_forced(a.seed) is forced]
    return share((sum(getattr(a, view) == a.truth for a in own), len(own)))


def by_firmness(answered: Sequence[Answered], criterion: str, *, firm: bool) -> str:
    """How many categories of the attributed view are the truth's, of those that are firm or of those that are not."""
    own = [
        a for a in answered
        if a.criterion == criterion and a.holds is not None and (a.holds >= READING_RULES.firm_from) is firm
    ]
    return share((sum(a.attributed == a.truth for a in own), len(own)))


def rows(
    found: Mapping[str, Sequence[Call]], decided: Mapping[str, Sequence[Sequence[ExamResult]]], made: Sequence[Case],
) -> list[tuple[str, str, dict[str, str]]]:
    """Number, what is wanted, value by arm."""
    exams = sum(len(case.exams) for case in made)
    answers = {arm: categories(made, results) for arm, results in decided.items()}
    everyone = tuple(decided)
    errors = diameter_errors_mm(made)
    spread = 1.96 * float(np.std(errors, ddof=1)) if len(errors) > 1 else float("nan")
    bias = float(errors.mean()) if len(errors) else float("nan")
    same = {
        "metastases >= 10 mm found": (">= 0.95", share(metastases_found(made))),
        "longest diameter, bias and limits of agreement, mm":
            ("2, +-5", f"{bias:+.1f}, {bias - spread:+.1f} .. {bias + spread:+.1f} (n={len(errors)})"),
        "longest diameter off by more than 5 mm": ("-", share((int((np.abs(errors) > 5.0).sum()), len(errors)))),
        "one track id over the exams": (">= 0.95", share(one_track(made))),
    }
    table = [(name, wanted, {"all arms": value}) for name, (wanted, value) in same.items()]
    table.append(("false foci an exam", "<= 1", {
        arm: f"{len(false_foci(made, decided[arm])) / exams:.2f}" for arm in everyone}))
    table.append(("macro AUROC of three natures", ">= 0.95", {
        arm: "-" if (value := macro_auroc(one)) is None else f"{value:.3f}" for arm, one in found.items()}))
    for name, wanted, truth, nature in (
        ("metastasis called inflammation", "<= 0.01", Nature.METASTASIS, Nature.INFLAMMATION),
        ("metastasis called physiologic", "0", Nature.METASTASIS, Nature.PHYSIOLOGIC),
        ("inflammation called metastasis", "<= 0.05", Nature.INFLAMMATION, Nature.METASTASIS),
    ):
        table.append((name, wanted, {arm: share(called(one, truth, nature)) for arm, one in found.items()}))
    table.append(("metastasis or inflammation left indeterminate", "<= 0.15", {
        arm: share(indeterminate(one)) for arm, one in found.items()}))
    for criterion in ("recist_1_1", "irecist"):
        for forced, whose, wanted in ((False, "patients as they come", ">= 0.90"),
                                      (True, "forced pseudoprogressions", "-")):
            for view in (View.ATTRIBUTED, View.AS_SEEN):
                table.append((f"{criterion}, {view.value}: category is the truth's, {whose}",
                              wanted if view is View.ATTRIBUTED else "-",
                              {arm: equal(answers[arm], criterion, view.value, forced=forced) for arm in everyone}))
        for firm, word in ((True, "firm"), (False, "borderline")):
            table.append((f"{criterion}, attributed, of those called {word}", "-", {
                arm: by_firmness(answers[arm], criterion, firm=firm) for arm in everyone}))
    for view, wanted in ((View.ATTRIBUTED, ">= 0.90"), (View.AS_SEEN, "-")):
        table.append((f"pseudoprogression, {view.value}: not confirmed", wanted, {
            arm: share(pseudoprogression(answers[arm])[view]) for arm in everyone}))
    seconds = [exam.seconds["assess"] for case in made for exam in case.exams]
    table.append(("CPU seconds an exam, organs and classifiers included", "-", {
        "all arms": f"{np.mean(seconds):.1f} (most {max(seconds):.1f})"}))
    return table


def printed(table: Sequence[tuple[str, str, Mapping[str, str]]], arms: Sequence[str]) -> str:
    """The table as Markdown."""
    lines = ["| | wanted | " + " | ".join(arms) + " |", "|---|---|" + len(arms) * "---|"]
    for name, wanted, values in table:
        cells = [values.get(arm, values.get("all arms", "")) for arm in arms]
        lines.append(f"| {name} | {wanted} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Makes the cohort, decides it by every arm, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=9600)
    parser.add_argument("--visits", type=int, default=4)
    parser.add_argument("--pseudoprogressions", type=int, default=4, help="further patients whose disease swells first")
    parser.add_argument("--spacing", type=float, default=3.0, help="CT voxels, mm")
    parser.add_argument("--masks", choices=("true", "packaged"), default="packaged")
    parser.add_argument("--model", type=Path, default=WEIGHTS / ATTRIBUTION_FOLDER)
    parser.add_argument("--keep", type=Path, default=Path(gettempdir()) / "irae_attribution_cases")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--details", action="store_true", help="lists every category that is not the truth's")
    args = parser.parse_args()
    chosen = plans(patients=args.patients, seed=args.seed, visits=args.visits, spacing_mm=args.spacing,
                   packaged=args.masks == "packaged", pseudoprogressions=args.pseudoprogressions)
    made = cohort(chosen, keep=args.keep, workers=args.workers)
    model: LearnedModel | None = None
    found: dict[str, list[Call]] = {}
    if args.model.is_dir():
        model, card = load_attribution(args.model)
        if card.suv_max_alone is not None:
            found[SUV_MAX] = calls_by_suv_max(made, card.suv_max_alone)
    decided = {EVIDENCE: [decided_again(case, None, what_if=True) for case in made]}
    if model is not None:
        decided[LEARNED] = [decided_again(case, model, what_if=True) for case in made]
    found |= {arm: calls(made, results) for arm, results in decided.items()}
    if args.details:
        for arm, results in decided.items():
            for a in categories(made, results):
                if a.truth != a.attributed:
                    firm = "" if a.holds is None else f" in {100 * a.holds:.0f} % of readings"
                    print(f"{arm}: {a.seed}/{a.visit} {a.criterion}: {a.attributed}{firm}, as seen {a.as_seen}, "
                          f"truth {a.truth}")
    exams = sum(len(case.exams) for case in made)
    print(f"\n{len(made)} patients, {exams} exams, seeds {min(chosen)}..{max(chosen)}, {args.masks} masks, "
          f"CT {args.spacing:g} mm\n")
    print(printed(rows(found, decided, made), list(found)))


if __name__ == "__main__":
    main()
