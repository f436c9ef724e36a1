"""The patient's course on one time axis: treatment, scans, irAE episodes, tumour burden, organ uptake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from irae.core.anatomy import AnyIrae, FurtherIrae, Irae
from irae.core.assessment import Assessment, View
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.course import Course, DueState
from irae.core.finding import Decision, EpisodeState
from irae.report import palette, words
from irae.report.canvas import compact_png

# Rows of context on the timeline, and their colours.
PERIODS: dict[ContextKind, tuple[str, str]] = {
    ContextKind.THERAPY: ("therapy", palette.BLUE), ContextKind.STEROID: ("steroid", palette.ORANGE),
    ContextKind.RADIOTHERAPY: ("radiotherapy", palette.PURPLE), ContextKind.GCSF: ("G-CSF", palette.GREY),
    ContextKind.METFORMIN: ("metformin", palette.GREY), ContextKind.INFECTION: ("infection", palette.GREY),
    ContextKind.VACCINATION: ("vaccination", palette.GREY), ContextKind.SURGERY: ("surgery", palette.GREY),
}
EPISODE_MARK = {
    EpisodeState.NEW: "new", EpisodeState.ONGOING: "ongoing", EpisodeState.IMPROVING: "improving",
    EpisodeState.RESOLVED: "resolved", EpisodeState.RECURRENT: "recurrent",
}


@dataclass(frozen=True, slots=True)
class Trend:
    """An organ uptake followed over exams. ``noise`` is the test-retest band around the first value, g/mL."""

    quantity: str
    label: str
    colour: str
    marker: str
    noise: float | None = None


# Liver +-1.0 and blood pool +-0.85 SUV: within-patient variation, Boktor et al., J Nucl Med 2013;54:677.
TRENDS: tuple[Trend, ...] = (
    Trend("pet.liver_mean", "liver mean", palette.GREEN, "o", 1.0),
    Trend("pet.blood_pool_mean", "blood pool mean", palette.GREY, "s", 0.85),
    Trend("colon.suv95", "colon SUV95", palette.ORANGE, "^"),
    Trend("lung.suv95", "lung SUV95", palette.SKY, "v"),
    Trend("thyroid_gland.suv75", "thyroid SUV75", palette.VERMILLION, "D"),
)
WIDTH_IN, DPI = 11.8, 100


def course_timeline(course: Course, context: PatientContext | None) -> bytes:
    """The timeline as PNG; panels without anything to show are left out."""
    panels: list[tuple[float, Callable[[Axes], None]]] = []
    entries = [e for e in (context.entries if context is not None else ()) if e.kind in PERIODS and e.start is not None]
    if entries:
        lanes = treatment_lanes(entries, _last_day(course))
        panels.append((0.3 + 0.27 * len(lanes), lambda axes: _treatment(axes, lanes, _last_day(course))))
    waiting = sum(d.state in (DueState.DUE, DueState.OVERDUE) for d in course.due)
    panels.append((0.85 + 0.2 * waiting, lambda axes: _scans(axes, course)))
    panels.append((0.45 + 0.35 * len(episode_rows(course)), lambda axes: _episodes(axes, course)))
    sums = _sum_criterion(course)
    if sums is not None:
        panels.append((2.3, lambda axes: _sums(axes, course, sums)))
    if any(_series(course, trend)[0] for trend in TRENDS):
        panels.append((2.3, lambda axes: _uptake(axes, course)))
    height = sum(h for h, _ in panels) + 0.35 * len(panels) + 0.5
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(panels), 1, height_ratios=[h for h, _ in panels], hspace=0.32,
                               left=0.105, right=0.985, top=1 - 0.22 / height, bottom=0.42 / height)
    first_day, last_day = _first_day(course, entries), _last_day(course)
    margin = max(7.0, (last_day - first_day).days * 0.05)
    for row, (_, draw) in enumerate(panels):
        axes = figure.add_subplot(grid[row])
        draw(axes)
        axes.set_xlim(date2num(first_day) - margin, date2num(last_day) + margin)
        locator = AutoDateLocator(minticks=4, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.tick_params(labelsize=8, labelbottom=row == len(panels) - 1)
        for exam in course.exams:
            axes.axvline(float(date2num(exam.acquired_on)), color="#C9CFD6", linewidth=0.8, zorder=0)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    canvas.draw()
    return compact_png(np.asarray(canvas.buffer_rgba())[..., :3])


def _first_day(course: Course, entries: Sequence[ContextEntry]) -> date:
    first = course.exams[0].acquired_on
    # Years of earlier treatment would squeeze the scans together: half a year before the first scan is enough.
    earliest = first - timedelta(days=183)
    starts = [max(e.start, earliest) for e in entries if e.start is not None and (e.end is None or e.end >= earliest)]
    return min([first, *starts])


def _last_day(course: Course) -> date:
    open_ends = [d.latest for d in course.due if d.state in (DueState.DUE, DueState.OVERDUE)]
    return max([course.exams[-1].acquired_on, *open_ends])


def _day(value: date) -> float:
    return float(date2num(value))


def _heading(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9, weight="bold", pad=3)


def _legend(axes: Axes) -> None:
    """On the line of the heading, where no curve can lie under it."""
    axes.legend(fontsize=7.5, loc="lower right", bbox_to_anchor=(1.0, 0.985), frameon=False, ncols=6, borderpad=0)


def treatment_lanes(entries: Sequence[ContextEntry], last_day: date) -> list[list[ContextEntry]]:
    """Entries in lanes, kind by kind: two drugs given at the same time lie below each other, not on top."""
    lanes: list[list[ContextEntry]] = []
    for kind in PERIODS:
        mine: list[list[ContextEntry]] = []
        for entry in sorted((e for e in entries if e.kind is kind), key=lambda e: (e.start or date.min, e.value)):
            free = next((lane for lane in mine if not any(_over_each_other(entry, e, last_day) for e in lane)), None)
            if free is None:
                mine.append([entry])
            else:
                free.append(entry)
        lanes += mine
    return lanes


def _over_each_other(a: ContextEntry, b: ContextEntry, last_day: date) -> bool:
    """Whether two entries of a kind share days and are not the same thing."""
    if a.start is None or b.start is None or a.value == b.value:
        return False
    return a.start <= (_end(b, last_day)) and b.start <= _end(a, last_day)


def _is_event(entry: ContextEntry) -> bool:
    return entry.end is None and entry.kind in (ContextKind.SURGERY, ContextKind.VACCINATION, ContextKind.INFECTION)


def _end(entry: ContextEntry, last_day: date) -> date:
    return entry.end or ((entry.start or last_day) if _is_event(entry) else last_day)


def _treatment(axes: Axes, lanes: Sequence[Sequence[ContextEntry]], last_day: date) -> None:
    _heading(axes, "Treatment and confounders")
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    kinds = [lane[0].kind for lane in lanes]
    axes.set_yticks(range(len(lanes)), [
        "" if row and kinds[row - 1] is kind else PERIODS[kind][0] for row, kind in enumerate(kinds)
    ])
    for row, lane in enumerate(lanes):
        said: set[str] = set()
        for entry in lane:
            if entry.start is None:
                continue
            colour = PERIODS[entry.kind][1]
            if _is_event(entry):
                axes.plot(_day(entry.start), row, "D", color=colour, markersize=5)
            else:
                end = _end(entry, last_day)
                axes.barh(row, max(1.0, _day(end) - _day(entry.start)), left=_day(entry.start), height=0.55,
                          color=colour, alpha=0.85, hatch=None if entry.end is not None else "//", edgecolor="white")
            if entry.value not in said:
                axes.text(_day(entry.start) + 2, row, entry.value.replace("_", " "), fontsize=8, va="center",
                          clip_on=True, bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8})
                said.add(entry.value)


def _scans(axes: Axes, course: Course) -> None:
    _heading(axes, "Scans and what is due")
    waiting = [d for d in course.due if d.state in (DueState.DUE, DueState.OVERDUE)]
    axes.set_ylim(-0.25 - 0.65 * max(1, len(waiting)), 2.3)
    axes.set_yticks([])
    span = max(1.0, _day(_last_day(course)) - _day(course.exams[0].acquired_on))
    raised, before = False, float("-inf")
    for exam in course.exams:
        day = _day(exam.acquired_on)
        raised = day - before < 0.09 * span and not raised  # names of close scans stand above each other
        before = day
        axes.plot(day, 0, "o", color=palette.BLACK, markersize=7)
        kinds = "+".join(words.MODALITY.get(m, m) for m in exam.modalities)
        axes.text(day, 1.35 if raised else 0.3, f"{exam.acquired_on:%d %b %Y}\n{kinds}", ha="center", va="bottom",
                  fontsize=7.5)
    for row, due in enumerate(waiting):
        colour = palette.VERMILLION if due.state is DueState.OVERDUE else palette.BLUE
        width = max(1.0, _day(due.latest) - _day(due.earliest))
        height = -0.45 - 0.65 * row
        axes.barh(height, width, left=_day(due.earliest), height=0.5, color=colour, alpha=0.3, edgecolor=colour)
        axes.text(_day(due.earliest) - 1, height, f"{due.state.value}: {due.what} ", ha="right", va="center",
                  fontsize=7.5)


def episode_rows(course: Course) -> list[AnyIrae]:
    """The five irAEs always, a further one where an exam suspected it."""
    suspected = {f.irae for e in course.exams for f in e.findings if f.decision is Decision.SUSPECTED}
    return [*Irae, *(further for further in FurtherIrae if further in suspected)]


def _episodes(axes: Axes, course: Course) -> None:
    """One row per irAE: a bar from exam to exam while suspected, hatched where it could not be assessed."""
    _heading(axes, "Immune-related adverse events")
    rows = episode_rows(course)
    axes.set_ylim(len(rows) - 0.4, -0.75)
    axes.set_yticks(range(len(rows)), [words.irae(i) for i in rows])
    days = [_day(e.acquired_on) for e in course.exams]
    for row, irae in enumerate(rows):
        found = [next((f for f in e.findings if f.irae is irae), None) for e in course.exams]
        for n, finding in enumerate(found):
            if finding is None:
                continue
            after = found[n + 1] if n + 1 < len(found) else None
            if finding.decision is Decision.SUSPECTED:
                colour = palette.EPISODE[finding.state]
                if after is not None and after.decision is not Decision.NOT_ASSESSABLE:
                    axes.barh(row, days[n + 1] - days[n], left=days[n], height=0.22, color=colour, alpha=0.45)
                axes.plot(days[n], row, "s", markersize=12, color=colour)
                axes.text(days[n], row, str(finding.severity), color="white", fontsize=8.5, weight="bold",
                          ha="center", va="center_baseline")
                axes.text(days[n], row - 0.3, EPISODE_MARK.get(finding.state, "suspected"), fontsize=7, ha="center",
                          va="bottom")
            elif finding.decision is Decision.NOT_ASSESSABLE:
                axes.plot(days[n], row, "s", markersize=10, markerfacecolor="white", markeredgecolor="black")
                axes.plot(days[n], row, "x", markersize=6, color="black")
            else:
                axes.plot(days[n], row, "o", markersize=6, markerfacecolor="white", markeredgecolor=palette.GREEN)
                if finding.state in (EpisodeState.RESOLVED, EpisodeState.IMPROVING):
                    axes.text(days[n], row - 0.2, EPISODE_MARK[finding.state], fontsize=7, ha="center", va="bottom")


def _sum_criterion(course: Course) -> str | None:
    """The criterion whose diameters are drawn: RECIST 1.1 where it was scored, else the first with a sum."""
    scored = list(dict.fromkeys(a.criterion for e in course.exams for a in e.assessments if a.sum_mm is not None))
    preferred = [c for c in ("recist_1_1", "irecist") if c in scored]
    return (preferred or scored or [None])[0]


def _points(course: Course, criterion: str, view: View) -> list[tuple[date, Assessment]]:
    return [
        (e.acquired_on, a) for e in course.exams for a in e.assessments
        if a.criterion == criterion and a.view is view and a.sum_mm is not None
    ]


def _sums(axes: Axes, course: Course, criterion: str) -> None:
    _heading(axes, f"Sum of target diameters, mm, and category ({words.criterion(criterion)})")
    tallest = 0.0
    attributed_points = _points(course, criterion, View.ATTRIBUTED)
    for view, colour, width in ((View.AS_SEEN, palette.VERMILLION, 6.0), (View.ATTRIBUTED, palette.BLUE, 1.8)):
        points = _points(course, criterion, view)
        if not points:
            continue
        values = [a.sum_mm or 0.0 for _, a in points]
        days = [d for d, _ in points]
        first = points[0][1]
        if first.baseline_mm is not None and course.exams[0].acquired_on < days[0]:
            days, values = [course.exams[0].acquired_on, *days], [first.baseline_mm, *values]
        tallest = max([tallest, *values])
        axes.plot([_day(d) for d in days], values, marker="o", markersize=5, color=colour, linewidth=width,
                  alpha=0.35 if width > 2 else 1.0, label=words.VIEW[view])
        same = {d: a.category for d, a in attributed_points}
        for day, assessment in points:
            if view is View.AS_SEEN and same.get(day) == assessment.category:
                continue  # the attributed label says it
            below = view is View.AS_SEEN
            axes.annotate(assessment.category, (_day(day), assessment.sum_mm or 0.0), fontsize=9, weight="bold",
                          xytext=(0, -9 if below else 8), textcoords="offset points", ha="center", color=colour,
                          va="top" if below else "bottom")
    axes.set_ylim(-0.12 * max(tallest, 1.0), max(tallest, 1.0) * 1.3)
    _legend(axes)


def _series(course: Course, trend: Trend) -> tuple[list[date], list[float]]:
    days, values = [], []
    for exam in course.exams:
        value = exam.quantities.get(trend.quantity)
        if value is not None:
            days.append(exam.acquired_on)
            values.append(value)
    return days, values


def _uptake(axes: Axes, course: Course) -> None:
    _heading(axes, "Organ uptake, SUVbw g/mL")
    first, last = _day(course.exams[0].acquired_on), _day(course.exams[-1].acquired_on)
    for trend in TRENDS:
        days, values = _series(course, trend)
        if not days:
            continue
        if trend.noise is not None and last > first:
            axes.fill_between([first, last], values[0] - trend.noise, values[0] + trend.noise, color=trend.colour,
                              alpha=0.13, linewidth=0)
        axes.plot([_day(d) for d in days], values, marker=trend.marker, markersize=5, color=trend.colour,
                  linewidth=1.6, label=trend.label)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.15)
    _legend(axes)
