"""Curves of an evaluation as PNG: reliability, ROC, FROC, Dice by organ. No state outside the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, GREY = "#1f4e79", "#9aa5b1"
DPI = 110


def _figure(width: float = 3.4, height: float = 3.2) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def reliability_picture(bins: Sequence[Mapping[str, float]]) -> bytes:
    """Observed rate against mean probability, each bin's point as large as its number of exams."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    axes.plot([b["probability"] for b in bins], [b["observed"] for b in bins], color=INK, linewidth=1)
    axes.scatter(
        [b["probability"] for b in bins], [b["observed"] for b in bins], s=[12 + 6 * b["n"] for b in bins], color=INK,
        alpha=0.7, linewidths=0,
    )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="predicted probability", ylabel="observed rate")
    return _png(figure)


def roc_picture(points: Sequence[Sequence[float]]) -> bytes:
    """The ROC curve; the line at specificity 0.95."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    axes.axvline(0.05, color=GREY, linewidth=0.8, linestyle=":")
    if points:
        axes.step([p[0] for p in points], [p[1] for p in points], where="post", color=INK, linewidth=1.6)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="1 - specificity", ylabel="sensitivity")
    return _png(figure)


def froc_picture(points: Sequence[Sequence[float]]) -> bytes:
    """Sensitivity against false foci an exam."""
    figure, axes = _figure(4.6, 3.2)
    ordered = sorted((p[0], p[1]) for p in points)
    axes.step([p[0] for p in ordered], [p[1] for p in ordered], where="post", color=INK, linewidth=1.6)
    axes.set(ylim=(-0.03, 1.03), xlabel="false foci an exam", ylabel="sensitivity")
    axes.set_xlim(left=0)
    return _png(figure)


def dice_picture(organs: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Mean Dice and its interval for each organ, best first."""
    rows = sorted(
        ((name, its["dice"]) for name, its in organs.items() if its["dice"]["value"] is not None),
        key=lambda row: row[1]["value"],
    )
    figure, axes = _figure(5.6, 0.9 + 0.26 * max(len(rows), 1))
    for place, (_, number) in enumerate(rows):
        axes.barh(place, number["value"], color=INK, alpha=0.75, height=0.62)
        if number["low"] is not None:
            axes.plot([number["low"], number["high"]], [place, place], color="black", linewidth=1.4)
    axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name, _ in rows])
    axes.set(xlim=(0, 1), xlabel="Dice")
    return _png(figure)
