"""The page of one exam: what a reader looks at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from irae.core.anatomy import Irae, organs_of
from irae.core.assessment import Assessment, View
from irae.core.finding import Decision, Evidence, OrganFinding
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.result import ExamResult
from irae.core.volume import Coverage
from irae.findings.ctcae import CTCAE, VERSION
from irae.report import palette, words
from irae.report.pages import write_page
from irae.report.pictures import ExamImages, exam_pictures, focus_name, importance


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One criterion in both views; an absent view is None."""

    criterion: str
    attributed: Assessment | None
    as_seen: Assessment | None
    hinges: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the two views end in different categories."""
        a, b = self.attributed, self.as_seen
        return a is not None and b is not None and a.category != b.category

    @property
    def windows(self) -> list[tuple[View, date, date]]:
        """When a scan confirms, by view; once where both views say the same."""
        found = [
            (a.view, *a.confirm_between) for a in (self.attributed, self.as_seen)
            if a is not None and a.confirm_between is not None
        ]
        return found[:1] if len(found) == 2 and not self.differs and found[0][1:] == found[1][1:] else found

    @property
    def shown(self) -> Assessment:
        """The assessment whose sums are printed."""
        shown = self.attributed or self.as_seen
        assert shown is not None
        return shown


@dataclass(frozen=True, slots=True)
class LesionRow:
    """One lesion over time; sizes in mm, None where the lesion was not evaluated."""

    name: str
    site: str
    is_node: bool
    is_target: bool
    nature: Nature
    status: FocusStatus
    baseline_mm: float | None
    nadir_mm: float | None
    previous_mm: float | None
    now_mm: float | None

    @property
    def versus_baseline(self) -> float | None:
        """Relative change from the baseline."""
        return _change(self.now_mm, self.baseline_mm)

    @property
    def versus_nadir(self) -> float | None:
        """Relative change from the smallest earlier size."""
        return _change(self.now_mm, self.nadir_mm)


def write_exam_page(
    path: Path,
    result: ExamResult,
    images: ExamImages,
    *,
    baseline: tuple[ExamResult, ExamImages] | None,
    earlier: Sequence[ExamResult] = (),
    targets: Collection[str] = (),
) -> None:
    """Writes one exam as a self-contained page.

    Args:
        path: Where, e.g. ``out/P01/2026-03-14/report.html``.
        result: The answers.
        images: The images they were read from.
        baseline: The exam to compare with and its images; None for a first exam.
        earlier: All earlier results of the patient, oldest first, for nadir and previous sizes; where empty, the
            baseline is used.
        targets: Tracks chosen as target lesions; they are marked.

    Raises:
        ValueError: If an earlier exam is not older, or images belong to another exam.
    """
    past = tuple(earlier) or ((baseline[0],) if baseline is not None else ())
    for other in past:
        if other.acquired_on >= result.acquired_on:
            raise ValueError(f"{result.key}: earlier exam {other.key} is not older")
    if images.exam.key != result.key:
        raise ValueError(f"images of {images.exam.key} do not belong to result {result.key}")
    first = baseline[0] if baseline is not None else None
    write_page(path, "exam.html.j2", {
        "result": result, "baseline": first, "course_link": "../course.html",
        "headline": headline(result, first_exam=not past),
        "responses": response_rows(result), "hinges": hinge_sentences(result),
        "findings": [(f, [(e, own_baseline(f, e, first)) for e in f.evidence]) for f in answered(result)],
        "ctcae": CTCAE, "ctcae_version": VERSION,
        "lesions": lesion_rows(result, past, targets), "past": past,
        "foci": sorted(result.foci, key=importance), "focus_name": focus_name,
        "pictures": exam_pictures(result, images, baseline=baseline),
        "not_assessable": [f for f in result.findings if f.decision is Decision.NOT_ASSESSABLE],
        "unseen": [
            (words.organ(name), seen) for name, seen in result.organs.items() if seen.coverage is not Coverage.WHOLE
        ],
        "outlined": [
            (words.organ(name), colour) for name, colour in palette.ORGAN.items()
            if images.organs is not None and images.organs.seen(name)
        ],
        "origins": images.exam.origins,
    })


def headline(result: ExamResult, *, first_exam: bool) -> list[str]:
    """The exam in at most four sentences."""
    suspected = [
        f"{words.irae(f.irae)} ({words.STATE[f.state]}, radiological severity {f.severity} of 3)"
        for f in result.findings if f.decision is Decision.SUSPECTED
    ]
    unseen = [
        f.irae.value for f in result.findings if f.decision is Decision.NOT_ASSESSABLE and isinstance(f.irae, Irae)
    ]
    uncertain = [
        f.irae.value for f in result.findings
        if f.decision is Decision.NOT_SUSPECTED and f.conformal is not None and f.conformal.uncertain
    ]
    lines = ["Suspected: " + "; ".join(suspected) + "." if suspected else "No irAE is suspected."]
    if uncertain:
        lines.append("Uncertain, neither suspected nor excluded: " + ", ".join(uncertain) + ".")
    if unseen:
        lines.append("Not assessable: " + ", ".join(unseen) + ".")
    fresh = [f for f in result.foci if f.focus.status is FocusStatus.NEW and f.nature is not Nature.PHYSIOLOGIC]
    if fresh:
        counts = [
            f"{n} {palette.NATURE[nature].word}"
            for nature in (Nature.METASTASIS, Nature.INDETERMINATE, Nature.INFLAMMATION)
            if (n := sum(f.nature is nature for f in fresh))
        ]
        which = "Foci on this first exam" if first_exam else "New foci"
        lines.append(f"{which}, physiologic uptake aside: {len(fresh)} (" + ", ".join(counts) + ").")
    return lines


def answered(result: ExamResult) -> list[OrganFinding]:
    """The five irAEs, and those of the others that could be judged; the rest stand under what cannot be seen."""
    return [
        f for f in result.findings if isinstance(f.irae, Irae) or f.decision is not Decision.NOT_ASSESSABLE
    ]


def response_rows(result: ExamResult) -> list[ResponseRow]:
    """Criteria in the order of the result, both views side by side, with what each hinges on."""
    rows = []
    for criterion in dict.fromkeys(a.criterion for a in result.assessments):
        views = {a.view: a for a in result.assessments if a.criterion == criterion}
        alike: dict[tuple[str, str], list[int]] = {}
        for hinge in result.hinges_on:
            category = dict(hinge.categories).get(criterion)
            if category is not None:
                alike.setdefault((hinge.if_nature, category), []).append(hinge.focus)
        hinges = tuple(
            f"{_places(result, foci)}: if {nature}, {category}" for (nature, category), foci in alike.items()
        )
        rows.append(ResponseRow(criterion, views.get(View.ATTRIBUTED), views.get(View.AS_SEEN), hinges))
    return rows


def hinge_sentences(result: ExamResult) -> list[str]:
    """Which single attribution would change which categories, one sentence for all foci that would change the same."""
    alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[int]] = {}
    for hinge in result.hinges_on:
        alike.setdefault((hinge.if_nature, tuple(hinge.categories)), []).append(hinge.focus)
    return [
        f"{_places(result, foci)}: were {'it' if len(foci) == 1 else 'any one of them'} {nature}, "
        + ", ".join(f"{words.criterion(c)} would be {category}" for c, category in categories) + "."
        for (nature, categories), foci in alike.items()
    ]


def _places(result: ExamResult, numbers: Sequence[int]) -> str:
    """Foci of the result by name, those of one site together: ``L19, L20 (lymph node), L04 (liver)``."""
    sites: dict[str, list[str]] = {}
    for number in numbers:
        focus = next((f for f in result.foci if f.focus.id == number), None)
        site = "" if focus is None else words.organ(focus.focus.organ)
        sites.setdefault(site, []).append(f"#{number}" if focus is None else focus_name(focus))
    return ", ".join(", ".join(names) + (f" ({site})" if site else "") for site, names in sites.items())


def own_baseline(finding: OrganFinding, evidence: Evidence, baseline: ExamResult | None) -> float | None:
    """The same measurement on the patient's baseline exam; None where there is none."""
    if baseline is None:
        return None
    for other in baseline.findings:
        if other.irae is finding.irae:
            for same in other.evidence:
                if same.name == evidence.name and same.unit == evidence.unit and same.value is not None:
                    return same.value
    for name in (evidence.name, *(f"{organ}.{evidence.name}" for organ in organs_of(finding.irae))):
        value = baseline.quantities.get(name)
        if value is not None:
            return value
    return None


def lesion_rows(result: ExamResult, past: Sequence[ExamResult], targets: Collection[str]) -> list[LesionRow]:
    """Every tracked lesion that is not physiologic: targets first, then those of the baseline, then new ones."""
    first = past[0] if past else result
    known: dict[str, AttributedFocus] = {}
    for exam in (*past, result):
        for focus in exam.foci:
            if focus.focus.track and focus.nature is not Nature.PHYSIOLOGIC:
                known[focus.focus.track] = focus
    present = {f.focus.track for f in result.foci}
    rows = []
    for track, focus in known.items():
        before = [size_mm(exam, track) for exam in past]
        measured = [size for size in before if size is not None]
        rows.append(
            LesionRow(
                name=track, site=words.organ(focus.focus.organ), is_node=focus.focus.is_node,
                is_target=track in targets, nature=focus.nature,
                status=focus.focus.status if track in present else FocusStatus.KNOWN,
                baseline_mm=size_mm(first, track) if past else None, nadir_mm=min(measured, default=None),
                previous_mm=before[-1] if before else None, now_mm=size_mm(result, track),
            )
        )
    return sorted(rows, key=lambda r: (not r.is_target, r.baseline_mm is None, r.name))


def size_mm(exam: ExamResult, track: str) -> float | None:
    """A lesion's size at an exam: short axis of a node, else longest diameter; 0 where gone; None if not listed."""
    for focus in exam.foci:
        if focus.focus.track == track:
            if focus.focus.status is FocusStatus.GONE:
                return 0.0
            return focus.focus.short_mm if focus.focus.is_node else focus.focus.longest_mm
    return None


def _change(now: float | None, then: float | None) -> float | None:
    return None if now is None or then is None or then <= 0 else now / then - 1.0
