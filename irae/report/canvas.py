"""Panels in a row on one picture: image, outlines, marks, ruler, orientation letters, scale bar and window, in mm."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import find_contours

DPI = 100
GREY_TOLERANCE = 10  # channels that differ by no more are grey
FOCUS_WIDTH = 1.4  # outlines at least this wide are foci and get a light rim
GAP_PX, TITLE_PX, FOOT_PX, EDGE_PX = 10, 22, 20, 2


Halo = list[patheffects.AbstractPathEffect]


@dataclass(frozen=True, eq=False, slots=True)
class Outline:
    """The edge of a mask: (rows, columns) bool as the viewer sees it, filling its panel or ``extent_mm``."""

    mask: NDArray[np.bool_]
    colour: str
    style: str = "solid"
    width: float = 1.3
    extent_mm: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A name beside a place, (across, up) in world mm; ``box_mm`` draws a square of that half width around it."""

    across_mm: float
    up_mm: float
    text: str
    colour: str
    box_mm: float | None = None
    style: str = "solid"


@dataclass(frozen=True, slots=True)
class Ruler:
    """A measured height: from low to high at one place across, with its number."""

    across_mm: float
    low_mm: float
    high_mm: float
    text: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Panel:
    """One picture of a row.

    Attributes:
        title: Above the picture.
        image: (rows, columns) as the viewer sees it; None shows ``missing`` instead.
        extent_mm: World coordinates of the viewer's left, right, bottom and top edge.
        letters: Orientation at left, right, top and bottom.
        window: Values shown as the darkest and the brightest (or, inverted, the other way round).
        inverted: Dark is high, as PET is read.
        foot: Window and level in words, below the picture.
        missing: Why there is no picture.
        margin_labels: Marks are named in the margins, with leader lines, instead of beside the place.
    """

    title: str
    image: NDArray[np.float32] | None
    extent_mm: tuple[float, float, float, float]
    letters: tuple[str, str, str, str]
    window: tuple[float, float] = (0.0, 1.0)
    inverted: bool = False
    foot: str = ""
    missing: str = ""
    outlines: Sequence[Outline] = field(default=())
    marks: Sequence[Mark] = field(default=())
    ruler: Ruler | None = None
    scale_bar_mm: float = 50.0
    margin_labels: bool = False
    image_extent_mm: tuple[float, float, float, float] | None = None  # where the image is not the whole panel
    mm_per_px: float = 1.0

    def __post_init__(self) -> None:
        if self.mm_per_px <= 0:
            raise ValueError(f"a picture needs a positive scale, got {self.mm_per_px} mm per pixel")


MARGIN_PX = 62  # room for names in the margins


def draw_rows(*rows: Sequence[Panel]) -> bytes:
    """Rows of panels under each other, as PNG.

    Raises:
        ValueError: If there is no row, or a row has no panel.
    """
    if not rows or not all(rows):
        raise ValueError("a picture needs at least one panel in every row")
    drawn = [_draw_row(panels) for panels in rows]
    width = max(row.shape[1] for row in drawn)
    return compact_png(
        np.concatenate(
            [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in drawn], axis=0
        )
    )


def _draw_row(panels: Sequence[Panel]) -> NDArray[np.uint8]:
    margins = [MARGIN_PX if p.margin_labels else 0 for p in panels]
    widths = [
        abs(p.extent_mm[0] - p.extent_mm[1]) / p.mm_per_px + 2 * m for p, m in zip(panels, margins, strict=True)
    ]
    heights = [(p.extent_mm[3] - p.extent_mm[2]) / p.mm_per_px for p in panels]
    total_w = sum(widths) + GAP_PX * (len(panels) - 1) + EDGE_PX
    total_h = max(heights) + TITLE_PX + FOOT_PX
    figure = Figure(figsize=(total_w / DPI, total_h / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    left = EDGE_PX / 2
    for panel, margin, width, height in zip(panels, margins, widths, heights, strict=True):
        top = total_h - TITLE_PX
        axes = figure.add_axes(
            ((left + margin) / total_w, (top - height) / total_h, (width - 2 * margin) / total_w, height / total_h)
        )
        _draw(axes, panel)
        figure.text((left + margin) / total_w, (total_h - 6) / total_h, panel.title, fontsize=9, weight="bold",
                    va="top", ha="left", color="#1B1F24")
        figure.text((left + margin) / total_w, (top - height - 4) / total_h, panel.foot, fontsize=7.5, va="top",
                    ha="left", color="#3C434B")
        left += width + GAP_PX
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def compact_png(rgb: NDArray[np.uint8]) -> bytes:
    """A PNG of (rows, columns, 3) with 128 greys and 128 colours of its own: about a third of the size of a full one.

    Greys and colours are chosen apart, because thin outlines would lose their colours to the many greys.
    """
    coloured = np.ptp(rgb, axis=2) > GREY_TOLERANCE
    index = rgb.mean(axis=2).astype(np.uint8) // 2
    palette = [min(255, round(2.01 * grey)) for grey in range(128) for _ in range(3)]
    if coloured.any():
        strip = Image.fromarray(rgb[coloured][None]).quantize(128, method=Image.Quantize.MAXCOVERAGE)
        index[coloured] = np.asarray(strip)[0] + 128
        palette += (strip.getpalette() or [])[: 3 * 128]
    picture = Image.frombytes("P", (rgb.shape[1], rgb.shape[0]), index.tobytes())
    picture.putpalette(palette)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _draw(axes: Axes, panel: Panel) -> None:
    left, right, bottom, top = panel.extent_mm
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#B8BEC6")
    if panel.image is None:
        axes.set_facecolor("#F1F3F5")
        axes.text(0.5, 0.5, panel.missing, transform=axes.transAxes, ha="center", va="center", fontsize=9,
                  color="#1B1F24", wrap=True)
        return
    low, high = panel.window
    axes.imshow(panel.image, cmap="gray_r" if panel.inverted else "gray", vmin=low, vmax=high,
                extent=panel.image_extent_mm or panel.extent_mm, aspect="auto", interpolation="bilinear")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    for outline in panel.outlines:
        _draw_outline(axes, outline, panel.extent_mm)
    ink = "#1B1F24" if panel.inverted else "white"
    halo: Halo = [patheffects.withStroke(linewidth=2, foreground="white" if panel.inverted else "black")]
    if panel.margin_labels:
        _name_in_margins(axes, panel)
    else:
        for mark in panel.marks:
            _draw_mark(axes, mark)
    if panel.ruler is not None:
        _draw_ruler(axes, panel.ruler, halo, panel.mm_per_px)
    _draw_letters(axes, panel.letters, ink, halo)
    _draw_scale_bar(axes, panel, ink, halo)


def _draw_outline(axes: Axes, outline: Outline, panel_extent: tuple[float, float, float, float]) -> None:
    mask = outline.mask
    if not mask.any():
        return
    left, right, bottom, top = outline.extent_mm or panel_extent
    rows, columns = mask.shape
    across = left + (np.arange(columns) + 0.5) * (right - left) / columns
    up = top - (np.arange(rows) + 0.5) * (top - bottom) / rows
    (first_row, last_row), (first_column, last_column) = (
        (int(where.min()), int(where.max()) + 1) for where in np.nonzero(mask)
    )
    # One empty pixel around the mask closes its outline at the edge of the picture.
    framed = np.pad(mask[first_row:last_row, first_column:last_column].astype(np.float32), 1)
    lines = [
        np.column_stack(
            (np.interp(line[:, 1] + first_column - 1, np.arange(columns), across),
             np.interp(line[:, 0] + first_row - 1, np.arange(rows), up))
        )
        for line in find_contours(framed, 0.5)
    ]
    rim = patheffects.withStroke(linewidth=outline.width + 1.2, foreground="white", alpha=0.75)
    axes.add_collection(
        LineCollection(lines, colors=[outline.colour], linewidths=[outline.width], linestyles=[outline.style],
                       path_effects=[rim] if outline.width >= FOCUS_WIDTH else None),
        autolim=False,
    )


def _draw_mark(axes: Axes, mark: Mark) -> None:
    half = mark.box_mm
    if half is not None:
        across = [mark.across_mm + s * half for s in (-1, 1, 1, -1, -1)]
        up = [mark.up_mm + s * half for s in (-1, -1, 1, 1, -1)]
        axes.plot(across, up, color=mark.colour, linewidth=1.4, linestyle=mark.style)
    axes.text(mark.across_mm, mark.up_mm + (half or 0.0), mark.text, color="white", fontsize=8.5, weight="bold",
              ha="center", va="bottom", clip_on=True,
              bbox={"facecolor": mark.colour, "edgecolor": "white", "linewidth": 0.6, "pad": 1.6})


def _name_in_margins(axes: Axes, panel: Panel) -> None:
    """Names in the left or right margin, whichever is nearer, spread so that none covers another."""
    left, right, bottom, top = panel.extent_mm
    room = 12.5 * panel.mm_per_px
    offset = 6 * panel.mm_per_px
    for on_left in (True, False):
        side = [m for m in panel.marks if (m.across_mm > (left + right) / 2) == on_left]
        side.sort(key=lambda m: -m.up_mm)
        heights = spread([m.up_mm for m in side], room=room, low=bottom + room / 2, high=top - room / 2)
        edge = left + offset if on_left else right - offset
        for mark, height in zip(side, heights, strict=True):
            axes.annotate(
                mark.text, xy=(mark.across_mm, mark.up_mm), xytext=(edge, height), color=mark.colour, fontsize=8,
                weight="bold", ha="right" if on_left else "left", va="center", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": mark.colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
            )


def spread(wanted: Sequence[float], *, room: float, low: float, high: float) -> list[float]:
    """Heights near the wanted ones (falling), at least ``room`` apart while they fit between low and high.

    >>> spread([10.0, 9.5, 2.0], room=2.0, low=0.0, high=12.0)
    [10.0, 8.0, 2.0]
    """
    placed: list[float] = []
    for height in wanted:
        placed.append(min(height, high if not placed else placed[-1] - room))
    if placed and placed[-1] < low:
        placed[-1] = low
        for n in range(len(placed) - 2, -1, -1):
            placed[n] = max(placed[n], placed[n + 1] + room)
    return placed


def _draw_ruler(axes: Axes, ruler: Ruler, halo: Halo, mm_per_px: float) -> None:
    tick = 6 * mm_per_px
    for height in (ruler.low_mm, ruler.high_mm):
        axes.plot([ruler.across_mm - tick, ruler.across_mm + tick], [height, height], color="#F0E442", linewidth=1.5)
    axes.plot([ruler.across_mm] * 2, [ruler.low_mm, ruler.high_mm], color="#F0E442", linewidth=1.5)
    axes.text(ruler.across_mm - 2 * tick, (ruler.low_mm + ruler.high_mm) / 2, ruler.text, color="#F0E442",
              fontsize=10, weight="bold", ha="left", va="center", path_effects=halo)


def _draw_letters(
    axes: Axes, letters: tuple[str, str, str, str], ink: str, halo: Halo
) -> None:
    spots = ((0.015, 0.5, "left", "center"), (0.985, 0.5, "right", "center"), (0.5, 0.99, "center", "top"),
             (0.5, 0.01, "center", "bottom"))
    for letter, (x, y, horizontal, vertical) in zip(letters, spots, strict=True):
        axes.text(x, y, letter, transform=axes.transAxes, color=ink, fontsize=9, ha=horizontal, va=vertical,
                  path_effects=halo)


def _draw_scale_bar(
    axes: Axes, panel: Panel, ink: str, halo: Halo
) -> None:
    _, right, bottom, _ = panel.extent_mm
    mm_per_px = panel.mm_per_px
    x0, y0 = right + 10 * mm_per_px, bottom + 10 * mm_per_px
    axes.plot([x0, x0 + panel.scale_bar_mm], [y0, y0], color=ink, linewidth=2.5, solid_capstyle="butt",
              path_effects=[patheffects.withStroke(linewidth=4.5, foreground="white" if panel.inverted else "black")])
    length = f"{panel.scale_bar_mm / 10:g} cm" if panel.scale_bar_mm >= 10 else f"{panel.scale_bar_mm:g} mm"
    axes.text(x0 + panel.scale_bar_mm / 2, y0 + 3 * mm_per_px, length, color=ink, fontsize=7.5, ha="center",
              va="bottom", path_effects=halo)
