"""Which found focus is which drawn thing, on a synthetic exam: labels to learn from and to count by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import IRAE_ORGANS
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap
from irae.phantom.motion import diaphragm_share
from irae.phantom.patient import Patient
from irae.phantom.shapes import rotation
from irae.phantom.spots import Spot, spots
from irae.phantom.truth import FocusTruth, PhantomExam

# A focus is a drawn lesion's if it lies within its radius, or this near; a lesion's centre moves by voxels and noise.
REACH_MM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLesion:
    """One drawn focal thing at one exam, and the focus that was found of it.

    Attributes:
        track, kind, nature, organ: As drawn.
        longest_mm, short_mm: Greatest diameter in any axial plane, and that at right angles to it.
        volume_ml: Of the ellipsoid.
        focus: Id of the focus found of it; None: missed.
        imaged: Whether its centre lies in the field of view.
    """

    track: str
    kind: str
    nature: Nature
    organ: str
    longest_mm: float
    short_mm: float
    volume_ml: float
    focus: int | None
    imaged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is true of an exam's foci.

    Attributes:
        lesions: Everything focal that was drawn.
        nature: Focus id to its true nature; a focus of nothing drawn is physiologic; None: cannot be said.
        drawn: Ids of foci of something drawn, their further pieces included.
    """

    lesions: tuple[DrawnLesion, ...]
    nature: dict[int, Nature | None]
    drawn: frozenset[int]


def axial_diameters_mm(spot: Spot) -> tuple[float, float]:
    """Longest and shortest diameter of the central axial section of the drawn ellipsoid, mm.

    No other axial plane cuts a larger section out of an ellipsoid.
    """
    turn = rotation(spot.shape.turn_deg)
    inverse = turn @ np.diag(1.0 / np.array(spot.shape.semi) ** 2) @ turn.T
    long_mm, short_mm = 2.0 / np.sqrt(np.linalg.eigvalsh(inverse[:2, :2]))
    return float(long_mm), float(short_mm)


def label_foci(
    patient: Patient, visit: int, shown: PhantomExam, foci: Sequence[AttributedFocus], labels: NDArray[np.uint16],
    grid: Geometry,
) -> Labels:
    """Matches the foci of an exam with what was drawn.

    A lesion's focus is the focal one painted at its centre, else the nearest within its reach. Breathing shows it
    elsewhere on PET than on CT: both places count. Other focal foci within its reach are pieces of it. What is left
    inside an inflamed or physiologically hot stretch is that. Everything else is nothing that was drawn: normal uptake,
    noise or a border, all physiologic. Foci in an organ with an irAE that has no drawn extent (hepatitis) cannot be
    labelled.

    Args:
        patient: Who was drawn. visit: Which exam. shown: The exam with its truth.
        foci: As found; those that are gone are left out.
        labels: (i, j, k) focus ids on grid.
        grid: Their geometry.
    """
    here = [a for a in foci if a.focus.status is not FocusStatus.GONE]
    shapes = {spot.track: spot for spot in spots(patient, visit)}
    places = {truth.track: _places(truth, shapes[truth.track], patient, visit) for truth in shown.truth.lesions}
    lesions: list[DrawnLesion] = []
    nature: dict[int, Nature | None] = {}
    for truth in shown.truth.lesions:
        spot = shapes[truth.track]
        index = grid.to_index(truth.centre_ras_mm)
        imaged = bool((index >= 0).all() and (index <= np.array(grid.shape) - 1).all())
        hit = _hit(truth, places[truth.track], here, labels, grid) if imaged else None
        longest, short = axial_diameters_mm(spot)
        lesions.append(DrawnLesion(
            track=truth.track, kind=truth.kind, nature=truth.nature, organ=truth.organ, longest_mm=longest,
            short_mm=short, volume_ml=float(4.0 / 3.0 * np.pi * np.prod(spot.shape.semi) / 1000.0),
            focus=None if hit is None else hit.focus.id, imaged=imaged,
        ))
        if hit is not None:
            nature[hit.focus.id] = truth.nature
    for truth in shown.truth.lesions:
        for a in here:
            near = not a.focus.features["picture"] and _off(a, places[truth.track]) <= _reach(truth)
            if near and a.focus.id not in nature:
                nature[a.focus.id] = truth.nature
    drawn_organ = _drawn_organs(here, labels, grid, shown.organs)
    for truth in sorted(shown.truth.foci, key=lambda t: t.nature is not Nature.INFLAMMATION):
        for a in here:
            if a.focus.id not in nature and _in_stretch(a, truth, drawn_organ.get(a.focus.id)):
                nature[a.focus.id] = truth.nature
    drawn = frozenset(nature)
    unclear = {
        organ for state in shown.truth.iraes if state.present for organ in IRAE_ORGANS[state.irae]
        if not any(t.organ == organ for t in shown.truth.foci)
    }
    for a in here:
        if a.focus.id not in nature:
            nature[a.focus.id] = None if a.focus.organ in unclear else Nature.PHYSIOLOGIC
    return Labels(lesions=tuple(lesions), nature=nature, drawn=drawn)


def _places(truth: FocusTruth, spot: Spot, patient: Patient, visit: int) -> NDArray[np.float64]:
    """Where the CT and where the PET shows a lesion, (2, 3) RAS+ mm."""
    on_ct = np.array(truth.centre_ras_mm)
    down = np.array([-spot.shape.centre[2] / patient.anatomy.length])
    lower = patient.visits[visit].breath.pet_offset_mm * float(diaphragm_share(down)[0])
    return np.stack([on_ct, on_ct - (0.0, 0.0, lower)])


def _off(a: AttributedFocus, places: NDArray[np.float64]) -> float:
    """Distance from a focus to the nearest of the places, mm."""
    return float(np.linalg.norm(np.array(a.focus.centroid_ras_mm) - places, axis=1).min())


def _reach(truth: FocusTruth) -> float:
    return max(REACH_MM, 0.5 * truth.diameters_mm[0])


def _hit(
    truth: FocusTruth, places: NDArray[np.float64], here: Sequence[AttributedFocus], labels: NDArray[np.uint16],
    grid: Geometry,
) -> AttributedFocus | None:
    focal = [a for a in here if not a.focus.features["picture"]]
    for place in places:
        i, j, k = np.clip(np.round(grid.to_index(place)).astype(int), 0, np.array(grid.shape) - 1)
        at_centre = next((a for a in focal if a.focus.id == labels[i, j, k]), None)
        if at_centre is not None:
            return at_centre
    nearest = min(focal, key=lambda a: _off(a, places), default=None)
    return nearest if nearest is not None and _off(nearest, places) <= _reach(truth) else None


def _drawn_organs(
    here: Sequence[AttributedFocus], labels: NDArray[np.uint16], grid: Geometry, organs: LabelMap | None
) -> dict[int, str]:
    """The organ that holds most of each focus as drawn: a mask may take inflamed colon for small bowel."""
    if organs is None or not organs.geometry.same_grid(grid):
        return {}
    names = {label: organ for organ, label in organs.labels.items()}
    boxes = ndimage.find_objects(labels)
    found = {}
    for a in here:
        box = boxes[a.focus.id - 1] if a.focus.id <= len(boxes) else None
        if box is None:
            continue
        counts = np.bincount(organs.array[box][labels[box] == a.focus.id], minlength=256)
        if counts[1:].any() and 2 * counts[1:].max() >= counts.sum():
            found[a.focus.id] = names[1 + int(counts[1:].argmax())]
    return found


def _in_stretch(a: AttributedFocus, truth: FocusTruth, drawn_organ: str | None) -> bool:
    """Whether a focus belongs to an inflamed or hot stretch: same organ; of an opacity, inside its box besides."""
    if truth.organ not in (a.focus.organ, drawn_organ):
        return False
    if truth.organ.startswith("lung") and not a.focus.features["picture"]:
        return _off(a, np.array([truth.centre_ras_mm])) <= 0.5 * float(np.linalg.norm(truth.diameters_mm)) + REACH_MM
    return True
