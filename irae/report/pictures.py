"""Which pictures an exam's page shows, and how each is cut: fixed windows, the baseline at the same level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import IRAE_ORGANS, Irae, site_of
from irae.core.exam import Exam, Role
from irae.core.finding import Decision
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.geometry import Geometry
from irae.core.result import ExamResult
from irae.core.volume import LabelMap, Quantity, Volume
from irae.quant.resample import OUTSIDE
from irae.report import palette, words
from irae.report.canvas import Mark, Outline, Panel, Ruler, draw_rows
from irae.report.evidence import CAPTION, ELSEWHERE, evidence_outlines, relevance_at
from irae.report.levels import corresponding_point, organ_centres
from irae.report.planes import (
    AXIAL,
    CORONAL,
    LETTERS,
    SAGITTAL,
    WORLD_AXES,
    Plane,
    along_world_axes,
    coronal_projection,
    cut,
)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ExamImages:
    """The images that belong to a result.

    Attributes:
        exam: CT, PET, MR of one date.
        organs: Organs on the CT grid; None without a CT.
        pituitary: The pituitary on the MR grid; None without an MR.
        foci_labels: (i, j, k) uint16 on ``foci_geometry``; values are focus ids of the result.
        foci_geometry: The grid of ``foci_labels``.
        evidence_maps: Where the learned arm looked (0..1), for the irAEs that it suspects.

    Raises:
        ValueError: If only one of labels and their geometry is given, or they do not fit.
    """

    exam: Exam
    organs: LabelMap | None
    pituitary: LabelMap | None
    foci_labels: NDArray[np.uint16] | None
    foci_geometry: Geometry | None
    evidence_maps: Mapping[Irae, Volume] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels, grid = self.foci_labels, self.foci_geometry
        if (labels is None) != (grid is None):
            raise ValueError(f"exam {self.exam.key}: foci labels and their geometry go together")
        if labels is not None and grid is not None and labels.shape != grid.shape:
            raise ValueError(f"exam {self.exam.key}: foci {labels.shape} do not fit their grid {grid.shape}")


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture: heading, what is to be seen, PNG bytes, and a text for those who cannot see it."""

    title: str
    caption: str
    png: bytes
    alt: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The values shown as black and white (or white and black) and their description."""

    low: float
    high: float
    text: str
    inverted: bool = False


SOFT_TISSUE = Window(-160, 240, "CT soft tissue window, W 400 L 40 HU")
LUNG = Window(-1350, 150, "CT lung window, W 1500 L −600 HU")
BONE = Window(-500, 1300, "CT bone window, W 1800 L 400 HU")
PET_BODY = Window(0, 7, "PET, SUVbw 0–7 g/mL, dark is high", inverted=True)

# Which window a focus is best seen in, by the site that holds it.
CT_WINDOW: dict[str, Window] = {"lung": LUNG, "bone": BONE}
# The plane in which an organ is looked at when its irAE is suspected.
ORGAN_PLANE: dict[Irae, str] = {
    Irae.COLITIS: CORONAL, Irae.PNEUMONITIS: CORONAL, Irae.THYROIDITIS: AXIAL, Irae.HEPATITIS: AXIAL,
}
FIRST_EXAM = "First exam: nothing to compare with."
MAX_KEY_SLICES = 6
MAX_NAMES = 24  # names on a projection; every focus keeps its outline
TALLEST_PX = 760
OVERVIEW_MM_PER_PX, AXIAL_MM_PER_PX, SELLA_MM_PER_PX = 1.1, 1.2, 0.24
BODY_HU, BODY_SUV = -400.0, 0.3
COARSE_MM, LEVEL_MM = 6.0, 4.0


@dataclass(frozen=True, eq=False, slots=True)
class Side:
    """One exam as it is drawn: what to call it, its answers, its images and where its organs lie."""

    name: str
    result: ExamResult
    images: ExamImages
    centres: Mapping[str, NDArray[np.float64]]
    foci: Mapping[int, AttributedFocus]
    body: Mapping[Role, tuple[NDArray[np.float64], NDArray[np.float64]]]

    @classmethod
    def of(cls, name: str, result: ExamResult, images: ExamImages) -> Side:
        """A side with the day in its name."""
        return cls(
            f"{name} {result.acquired_on.isoformat()}", result, images, organ_centres(images.organs),
            {f.focus.id: f for f in result.foci},
            {role: _body_box(volume) for role, volume in images.exam.volumes.items() if role is not Role.MR},
        )


def importance(focus: AttributedFocus) -> tuple[int, float]:
    """Reading order of foci: new and doubtful ones first, physiologic and gone ones last."""
    rank = {
        (FocusStatus.NEW, Nature.METASTASIS): 0, (FocusStatus.NEW, Nature.INDETERMINATE): 1,
        (FocusStatus.NEW, Nature.INFLAMMATION): 2, (FocusStatus.KNOWN, Nature.METASTASIS): 3,
        (FocusStatus.KNOWN, Nature.INDETERMINATE): 4, (FocusStatus.KNOWN, Nature.INFLAMMATION): 5,
    }.get((focus.focus.status, focus.nature), 7 if focus.focus.status is FocusStatus.GONE else 6)
    return rank, -max(focus.focus.suv_peak or 0.0, focus.focus.longest_mm / 10.0)


def focus_name(focus: AttributedFocus) -> str:
    """What a focus is called on pictures and in tables: its track over exams, else its number on this exam."""
    return focus.focus.track or f"#{focus.focus.id}"


def exam_pictures(
    result: ExamResult, images: ExamImages, *, baseline: tuple[ExamResult, ExamImages] | None
) -> tuple[Picture, ...]:
    """All pictures of an exam, in reading order. What cannot be drawn is left out; the page says what is missing."""
    now = Side.of("Now", result, images)
    before = Side.of("Baseline", *baseline) if baseline is not None else None
    pictures: list[Picture] = []
    if images.exam.pet is not None:
        pictures.append(_projection(now, before))
    if images.exam.ct is not None:
        pictures.append(_overview(now, before))
    for finding in result.findings:
        if finding.decision is Decision.SUSPECTED and finding.irae in ORGAN_PLANE:
            picture = _organ_picture(finding.irae, now, before)
            if picture is not None:
                pictures.append(picture)
    if images.exam.mr is not None:
        pictures.append(_sella(now, before))
    if images.exam.ct is not None or images.exam.pet is not None:
        key = [f for f in sorted(result.foci, key=importance) if importance(f)[0] <= 5]
        pictures.extend(_focus_picture(focus, now, before) for focus in key[:MAX_KEY_SLICES])
    return tuple(pictures)


# --- where to look -----------------------------------------------------------------------------------------------


def _body_box(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner (RAS+ mm) of what is body, found on a coarse copy; the whole image if none is."""
    steps = [max(1, int(COARSE_MM / s)) for s in volume.geometry.spacing_mm]
    coarse = volume.array[:: steps[0], :: steps[1], :: steps[2]]
    body = coarse > (BODY_HU if volume.quantity is Quantity.HU else BODY_SUV)
    body = ndimage.binary_opening(body) if min(body.shape) > 3 else body
    spans = [np.flatnonzero(body.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not all(len(span) for span in spans):
        spans = [np.arange(n) for n in coarse.shape]
    ends = [(int(span[0]) * step, int(span[-1]) * step) for span, step in zip(spans, steps, strict=True)]
    corners = volume.geometry.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))
    margin = COARSE_MM + 4.0
    whole = volume.geometry.corners_mm()
    low = np.maximum(corners.min(axis=0) - margin, whole.min(axis=0))
    high = np.minimum(corners.max(axis=0) + margin, whole.max(axis=0))
    return low, high


def _shift(now: Side, before: Side, point_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """How far the same level lies away on the earlier exam, and how that was found."""
    moved = corresponding_point(point_mm.tolist(), dict(now.centres), dict(before.centres))
    if moved is None:
        return np.zeros(3), "Levels are not matched: no organ lies wholly in both exams; same coordinates shown."
    return moved - point_mm, "Levels are matched by the organs that both exams show."


def _in_plane_plane(kind: str, centre: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64],
                    pixel_mm: float) -> Plane:
    """A plane through a point that spans a box."""
    across, up, through = WORLD_AXES[kind]
    middle = (low + high) / 2
    middle[through] = centre[through]
    return Plane(
        kind=kind, centre_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
        width_mm=float(high[across] - low[across]), height_mm=float(high[up] - low[up]), pixel_mm=pixel_mm,
    )


# --- panels ------------------------------------------------------------------------------------------------------


def _panel(
    title: str, volume: Volume | None, plane: Plane, window: Window, *, missing: str,
    outlines: Sequence[Outline] = (), marks: Sequence[Mark] = (), ruler: Ruler | None = None,
    scale_bar_mm: float = 50.0,
) -> Panel:
    image = None
    if volume is not None:
        image = cut(volume.array, volume.geometry, plane, outside=OUTSIDE[volume.quantity])
        missing = "this level lies outside\nthe field of view"
    return Panel(
        title=title, image=image, extent_mm=plane.extent_mm, letters=LETTERS[plane.kind],
        window=(window.low, window.high), inverted=window.inverted, foot=window.text, missing=missing,
        outlines=outlines, marks=marks, ruler=ruler, scale_bar_mm=scale_bar_mm, mm_per_px=plane.pixel_mm,
    )


def _organ_outlines(side: Side, plane: Plane, *, width: float = 1.0) -> list[Outline]:
    organs = side.images.organs
    if organs is None:
        return []
    flat = cut(organs.array, organs.geometry, plane, order=0)
    if flat is None:
        return []
    return [
        Outline(flat == organs.labels[name], colour, width=width)
        for name, colour in palette.ORGAN.items()
        if organs.seen(name)
    ]


def _focus_outlines(side: Side, plane: Plane) -> tuple[list[Outline], list[Mark]]:
    labels, grid = side.images.foci_labels, side.images.foci_geometry
    if labels is None or grid is None:
        return [], []
    flat = cut(labels, grid, plane, order=0)
    if flat is None:
        return [], []
    left, right, bottom, top = plane.extent_mm
    outlines, marks = [], []
    for number in np.unique(flat):
        focus = side.foci.get(int(number))
        if focus is None:
            continue
        style = palette.NATURE[focus.nature]
        mask = flat == number
        outlines.append(Outline(mask, style.colour, style.line, 1.8))
        rows, columns = np.nonzero(mask)
        across = left + (columns.mean() + 0.5) * (right - left) / mask.shape[1]
        up = top - (rows.min() - 1) * (top - bottom) / mask.shape[0]
        marks.append(Mark(float(across), float(up), f"{focus_name(focus)} {style.letter}", style.colour))
    return outlines, marks


def _triptych(
    now: Side, before: Side | None, plane: Plane, earlier_plane: Plane | None, ct_window: Window,
    marks: Sequence[Mark], earlier_marks: Sequence[Mark] = (), looked_at: Sequence[Outline] = (),
) -> bytes:
    """Baseline raw, now raw, now with outlines; a row for CT and a row for PET, as far as they exist.

    looked_at: Outlines of the evidence map.
    """
    rows = []
    focus_outlines, focus_marks = _focus_outlines(now, plane)
    organ_outlines = _organ_outlines(now, plane)
    boxed = [*focus_marks] if not marks else [*marks]
    for image, window in (("ct", ct_window), ("pet", PET_BODY)):
        volume = now.images.exam.ct if image == "ct" else now.images.exam.pet
        if volume is None:
            continue
        row = []
        if before is not None and earlier_plane is not None:
            earlier = before.images.exam.ct if image == "ct" else before.images.exam.pet
            row.append(
                _panel(before.name, earlier, earlier_plane, window, missing=f"no {image.upper()} at baseline",
                       marks=earlier_marks)
            )
        row.append(_panel(now.name, volume, plane, window, missing=""))
        outlines = [*(organ_outlines if image == "ct" else ()), *focus_outlines, *looked_at]
        row.append(_panel("Now, outlined", volume, plane, window, missing="", outlines=outlines, marks=boxed))
        rows.append(row)
    return draw_rows(*rows)


# --- the pictures ------------------------------------------------------------------------------------------------


def _overview(now: Side, before: Side | None) -> Picture:
    """Coronal CT through the middle of the irAE organs, baseline and now, with organ outlines."""
    ct = now.images.exam.ct
    low, high = (corner.copy() for corner in now.body[Role.CT])
    scale = max(OVERVIEW_MM_PER_PX, float(high[2] - low[2]) / TALLEST_PX)
    plane = _in_plane_plane(CORONAL, _telling_depth(now, low, high), low, high, scale)
    panels = []
    note = FIRST_EXAM
    if before is not None:
        shift, note = _shift(now, before, np.array(plane.centre_mm))
        earlier = plane.moved(shift)
        panels.append(
            _panel(before.name, before.images.exam.ct, earlier, SOFT_TISSUE, missing="no CT at baseline",
                   outlines=_organ_outlines(before, earlier), scale_bar_mm=100)
        )
    panels.append(
        _panel(now.name, ct, plane, SOFT_TISSUE, missing="", outlines=_organ_outlines(now, plane), scale_bar_mm=100)
    )
    return Picture(
        "CT, coronal, organs as they were found",
        f"Plane at y {words.number(plane.centre_mm[1], 'mm', digits=0)}. {note} "
        "Outlines are the masks that were measured.",
        draw_rows(panels), "Coronal CT with outlines of the organs found, baseline and now",
        wide=before is not None,
    )


def _places(organs: LabelMap, names: Sequence[str]) -> NDArray[np.float64]:
    """(n, 3) RAS+ mm: the voxels of some organs on a coarse copy."""
    steps = [max(1, int(COARSE_MM / 2 / s)) for s in organs.geometry.spacing_mm]
    coarse = organs.array[:: steps[0], :: steps[1], :: steps[2]]
    wanted = [organs.labels[n] for n in names if organs.seen(n)]
    return organs.geometry.to_world(np.argwhere(np.isin(coarse, wanted)) * steps)


def _telling_depth(side: Side, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """A point at the depth whose coronal plane cuts most irAE organs well; the middle of the body without organs."""
    score: dict[int, float] = {}
    if side.images.organs is not None:
        for names in IRAE_ORGANS.values():
            levels, counts = np.unique(_levels(_places(side.images.organs, names)[:, 1]), return_counts=True)
            for level, count in zip(levels, counts, strict=True):
                score[int(level)] = score.get(int(level), 0.0) + float(np.sqrt(count))
    middle = (low + high) / 2
    if score:
        middle[1] = (max(score, key=lambda level: score[level]) + 0.5) * LEVEL_MM
    return middle


def _levels(positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which LEVEL_MM thick level each position lies in; positions on a border go up whatever their rounding error."""
    return np.floor(positions_mm / LEVEL_MM + 1e-6)


def _projection(now: Side, before: Side | None) -> Picture:
    """Coronal maximum intensity projections, baseline and now, foci outlined and named in the margins."""
    low, high = (corner.copy() for corner in now.body[Role.PET])
    scale = max(OVERVIEW_MM_PER_PX, float(high[2] - low[2]) / TALLEST_PX)
    view = _in_plane_plane(CORONAL, (low + high) / 2, low, high, scale)
    panels = []
    note = FIRST_EXAM
    if before is not None:
        shift, note = _shift(now, before, np.array(view.centre_mm))
        panels.append(_projected(before, view.moved(shift)))
    panels.append(_projected(now, view))
    return Picture(
        "PET, maximum intensity projection from the front",
        f"{note} Every focus is outlined, physiologic ones dotted; up to {MAX_NAMES} are named. "
        "Letters: M metastasis, I inflammation, ? cannot be told.",
        draw_rows(panels),
        "Coronal PET maximum intensity projection, baseline and now, foci outlined by nature",
        wide=before is not None,
    )


def _projected(side: Side, view: Plane) -> Panel:
    pet = side.images.exam.pet
    if pet is None:
        return Panel(title=side.name, image=None, extent_mm=view.extent_mm, letters=LETTERS[CORONAL],
                     missing="no PET with usable SUV\nat baseline", margin_labels=True, mm_per_px=view.pixel_mm)
    image, plane = coronal_projection(pet.array, pet.geometry)
    outlines, marks = _projected_foci(side)
    return Panel(
        title=side.name, image=image, extent_mm=view.extent_mm, image_extent_mm=plane.extent_mm,
        letters=LETTERS[CORONAL], window=(PET_BODY.low, PET_BODY.high), inverted=True, foot=PET_BODY.text,
        outlines=outlines, marks=marks, scale_bar_mm=100, margin_labels=True, mm_per_px=view.pixel_mm,
    )


def _named(side: Side) -> set[int]:
    """The foci that are named on a projection: the known lesions first, so that a reader can follow them."""
    foci = [f for f in sorted(side.foci.values(), key=importance) if importance(f)[0] <= 5]
    known = [f.focus.id for f in foci if f.focus.status is FocusStatus.KNOWN][: MAX_NAMES // 2]
    return set([*known, *(f.focus.id for f in foci if f.focus.id not in known)][:MAX_NAMES])


def _projected_foci(side: Side) -> tuple[list[Outline], list[Mark]]:
    labels, grid = side.images.foci_labels, side.images.foci_geometry
    if labels is None or grid is None:
        return [], []
    outlines, marks = [], []
    boxes = ndimage.find_objects(labels)
    named = _named(side)
    for number, focus in side.foci.items():
        box = boxes[number - 1] if number <= len(boxes) else None
        if box is None:
            continue
        start = [max(0, s.start - 1) for s in box]
        stop = [min(n, s.stop + 1) for s, n in zip(box, labels.shape, strict=True)]
        block = grid.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        mask = labels[start[0]:stop[0], start[1]:stop[1], start[2]:stop[2]] == number
        turned, turned_grid = along_world_axes(mask.astype(np.uint8), block, order=0)
        flat = turned.max(axis=1)[::-1, ::-1].T > 0
        low, high = turned_grid.corners_mm().min(axis=0), turned_grid.corners_mm().max(axis=0)
        style = palette.NATURE[focus.nature]
        outlines.append(
            Outline(flat, style.colour, style.line, 1.4 if number in named else 0.9,
                    (float(high[0]), float(low[0]), float(low[2]), float(high[2])))
        )
        if number in named:
            x, _, z = focus.focus.centroid_ras_mm
            marks.append(Mark(x, z, f"{focus_name(focus)} {style.letter}", style.colour))
    return outlines, marks


def _organ_picture(irae: Irae, now: Side, before: Side | None) -> Picture | None:
    """The organ of a suspected irAE where most of it lies in one plane; None where it has no mask on a CT."""
    organs, ct = now.images.organs, now.images.exam.ct
    names = [n for n in IRAE_ORGANS[irae] if organs is not None and organs.seen(n)]
    if organs is None or ct is None or not names:
        return None
    kind = ORGAN_PLANE[irae]
    through = WORLD_AXES[kind][2]
    places = _places(organs, names)
    if not len(places):
        return None
    relevance = now.images.evidence_maps.get(irae)
    weights = np.ones(len(places)) if relevance is None else relevance_at(relevance, places)
    levels, level = np.unique(_levels(places[:, through]), return_inverse=True)
    centre = places.mean(axis=0)
    centre[through] = (levels[np.argmax(np.bincount(level, weights))] + 0.5) * LEVEL_MM
    low, high = (corner.copy() for corner in now.body[Role.CT])
    if kind is CORONAL:
        low[2] = max(low[2], places[:, 2].min() - 30)
        high[2] = min(high[2], places[:, 2].max() + 30)
    plane = _in_plane_plane(kind, centre, low, high, AXIAL_MM_PER_PX)
    note, earlier = FIRST_EXAM, None
    if before is not None:
        shift, note = _shift(now, before, centre)
        earlier = plane.moved(shift)
    window = LUNG if irae is Irae.PNEUMONITIS else SOFT_TISSUE
    axis = "xyz"[through]
    looked_at = [] if relevance is None else evidence_outlines(relevance, plane)
    chosen = "where most of the organ lies" if relevance is None else "where the learned arm looked most"
    return Picture(
        f"Suspected {words.irae(irae)}: {site_of(names[0])}, {kind}",
        f"{kind.capitalize()} plane at {axis} {words.number(centre[through], 'mm', digits=0)}, "
        f"{chosen}. {note}{_evidence_note(relevance, looked_at)}",
        _triptych(now, before, plane, earlier, window, (), looked_at=looked_at),
        f"{kind} slices through the organ of the suspected {words.irae(irae)}: baseline, now, now outlined", wide=True,
    )


def _evidence_note(relevance: Volume | None, looked_at: Sequence[Outline]) -> str:
    return "" if relevance is None else CAPTION if looked_at else ELSEWHERE


def _focus_picture(focus: AttributedFocus, now: Side, before: Side | None) -> Picture:
    """Axial slices through a focus: the earlier level, now raw, now outlined."""
    low, high = (corner.copy() for corner in now.body[Role.CT if Role.CT in now.body else Role.PET])
    centre = np.array(focus.focus.centroid_ras_mm)
    plane = _in_plane_plane(AXIAL, centre, low, high, AXIAL_MM_PER_PX)
    style = palette.NATURE[focus.nature]
    half = focus.focus.longest_mm / 2 + 8
    name = f"{focus_name(focus)} {style.letter}"
    mark = Mark(float(centre[0]), float(centre[1]), name, style.colour, half, style.line)
    note, earlier = FIRST_EXAM, None
    earlier_marks: tuple[Mark, ...] = ()
    if before is not None:
        same = next(
            (f for f in before.result.foci if focus.focus.track and f.focus.track == focus.focus.track
             and f.focus.status is not FocusStatus.GONE), None,
        )
        if same is not None:
            x, y, z = same.focus.centroid_ras_mm
            shift, note = np.array([x, y, z]) - centre, "The earlier slice goes through the same lesion."
            earlier_marks = (
                Mark(x, y, focus_name(same), palette.NATURE[same.nature].colour, same.focus.longest_mm / 2 + 8),
            )
        else:
            shift, note = _shift(now, before, centre)
        earlier = plane.moved(shift)
    window = CT_WINDOW.get(site_of(focus.focus.organ), SOFT_TISSUE)
    return Picture(
        f"{focus_name(focus)}: {'' if before is None else focus.focus.status.value + ', '}{style.word} "
        f"({words.organ(focus.focus.organ)})",
        f"Axial slice at z {words.number(centre[2], 'mm', digits=0)}. {note}",
        _triptych(now, before, plane, earlier, window, (mark,), earlier_marks),
        f"Axial slices through focus {focus_name(focus)}: baseline, now, now with outlines", wide=True,
    )


def _sella(now: Side, before: Side | None) -> Picture:
    """Sagittal MR through the pituitary, with its outline and its height."""
    panels = []
    looked: str = ""
    for side in (before, now):
        if side is None:
            continue
        mr, pituitary = side.images.exam.mr, side.images.pituitary
        if mr is None:
            continue
        mask = pituitary.mask("pituitary") if pituitary is not None else np.zeros(mr.geometry.shape, bool)
        found = bool(mask.any()) and pituitary is not None
        places = pituitary.geometry.to_world(np.argwhere(mask)) if found and pituitary is not None else None
        centre = places.mean(axis=0) if places is not None else mr.geometry.corners_mm().mean(axis=0)
        size, pixel = ((84.0, 76.0), SELLA_MM_PER_PX) if found else ((200.0, 180.0), SELLA_MM_PER_PX * 200 / 84)
        plane = Plane(kind=SAGITTAL, centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
                      width_mm=size[0], height_mm=size[1], pixel_mm=pixel)
        window = _mr_window(mr)
        bar = 10.0 if found else 50.0
        note = "" if found else " (pituitary not found: middle of the head)"
        panels.append(_panel(f"{side.name}{note}", mr, plane, window, missing="", scale_bar_mm=bar))
        if found and pituitary is not None:
            flat = cut(mask.astype(np.uint8), pituitary.geometry, plane, order=0)
            outline = flat > 0 if flat is not None else np.zeros((0, 0), bool)
            relevance = side.images.evidence_maps.get(Irae.HYPOPHYSITIS) if side is now else None
            looked_at = [] if relevance is None else evidence_outlines(relevance, plane)
            looked = _evidence_note(relevance, looked_at)
            if outline.any():
                panels.append(
                    _panel(f"{side.name}, outlined", mr, plane, window, missing="", scale_bar_mm=bar,
                           outlines=[Outline(outline, palette.ORGAN["pituitary"], width=1.6), *looked_at],
                           ruler=_height(outline, plane))
                )
    return Picture(
        "Sella, sagittal T1 after contrast",
        "Sagittal plane through the middle of the gland; the ruler is the height of the outline in this plane."
        f"{looked}",
        draw_rows(panels),
        "Sagittal MR through the pituitary with its outline and height", wide=True,
    )


def _mr_window(mr: Volume) -> Window:
    steps = [max(1, int(3.0 / s)) for s in mr.geometry.spacing_mm]
    low, high = np.percentile(mr.array[:: steps[0], :: steps[1], :: steps[2]], (2.0, 99.7))
    return Window(float(low), float(max(high, low + 1e-3)), "T1 after contrast, 2nd to 99.7th percentile")


def _height(mask: NDArray[np.bool_], plane: Plane) -> Ruler:
    """The tallest column of the mask in its picture."""
    left, right, _, top = plane.extent_mm
    rows, columns = np.nonzero(mask)
    spans = {int(c): (int(rows[columns == c].min()), int(rows[columns == c].max()) + 1) for c in np.unique(columns)}
    tallest = max(spans, key=lambda c: spans[c][1] - spans[c][0])
    first, last = spans[tallest]
    high, low = top - first * plane.pixel_mm, top - last * plane.pixel_mm
    edge = left + (int(columns.max()) + 1) * (right - left) / mask.shape[1]
    return Ruler(edge - 3.0, low, high, f"{high - low:.1f} mm")
