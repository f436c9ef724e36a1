"""Known lesions on a CT without PET: each is looked for at its registered place, and measured where the CT shows it.

Found by uptake, a node or a soft-tissue lesion is not searched for on a CT alone (``ct_nodules`` says what is). Where
lung or fat shows its border it can be measured all the same; in other tissue (bone, muscle, liver of its own
attenuation) it cannot, and not seen is not gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from irae.core.exam import Exam
from irae.core.focus import Focus, FocusSource, Nature
from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.volume import Volume
from irae.lesions.ct_nodules import CtLesion
from irae.lesions.features import ct_features
from irae.lesions.rules import FOCI_RULES, FociRules
from irae.lesions.sizing import crop_around, extent_on_ct
from irae.lesions.values import FociFound, Known
from irae.quant.diameter import axial_diameters
from irae.quant.resample import onto_grid
from irae.quant.shape import shape_of

# Registration leaves about this much; a lesion is looked for at its place and this far from it along each axis.
OFF_MM = 6.0
SIZES = (1.0, 0.6)  # of its earlier radius: it may have shrunk
SPACING_MM = (1.2, 1.6)
MARGIN_MM = 22.0  # what ``extent_on_ct`` looks at around its seed, and more than OFF_MM


def follow(
    found: FociFound, exam: Exam, lost: Sequence[Known], rules: FociRules = FOCI_RULES
) -> tuple[FociFound, tuple[Known, ...], tuple[Notice, ...]]:
    """Adds the known lesions that the CT of an exam without PET shows at their places.

    Args:
        found: The exam's foci.
        exam: The exam; with a PET, or without a CT, nothing is added.
        lost: Known tracks that none of the foci is.
        rules: HU limits.

    Returns:
        The foci with those added at their end, the tracks that these are, in the same order, and which known lesions
        were measured so, and which could not be.
    """
    if exam.pet is not None or exam.ct is None:
        return found, (), ()
    labels = np.array(found.labels)
    foci, followed, unseen = list(found.foci), [], []
    for track in lost:
        if track.focus.features.get("picture") or track.nature is Nature.PHYSIOLOGIC or track.gone:
            continue
        if not in_field(track.place, exam.ct.geometry):
            continue
        lesion = _at_its_place(exam.ct, track, rules)
        if lesion is None or _taken(labels, found.geometry, lesion):
            unseen.append(track.focus)
            continue
        focus = _measured(exam.ct, lesion, track.focus, 1 + max((f.id for f in foci), default=0), rules)
        _paint(labels, found.geometry, lesion, focus)
        foci.append(focus)
        followed.append(track)
    notices = []
    if followed:
        notices.append(Notice("known_lesions_followed", "Without a PET these known lesions were looked for at their "
                              f"registered places and measured on the CT: {_names([k.focus for k in followed])}."))
    if unseen:
        notices.append(Notice("known_lesions_not_seen", "Without a PET these known lesions cannot be told from what "
                              f"is around them: {_names(unseen)}. They are not measured; only lungs and liver are "
                              "searched well enough to call one gone."))
    found = FociFound(foci=tuple(foci), labels=labels, geometry=found.geometry, notices=found.notices)
    return found, tuple(followed), tuple(notices)


def in_field(place: NDArray[np.float64], grid: Geometry, margin_voxels: float = 1.0) -> bool:
    """Whether a place (RAS+ mm) lies inside an image, not at its border."""
    index = grid.to_index(place)
    return bool((index >= margin_voxels).all() and (index <= np.array(grid.shape) - 1 - margin_voxels).all())


def _taken(labels: NDArray[np.uint16], geometry: Geometry, lesion: CtLesion) -> bool:
    """Whether another focus holds the place."""
    return bool(np.mean(onto_grid(labels, geometry, lesion.geometry, order=0)[lesion.mask] > 0) > 0.3)


def _names(foci: Sequence[Focus]) -> str:
    return ", ".join(f"{f.track} ({(f.organ or 'outside organs').replace('_', ' ')})" for f in foci)


def _at_its_place(ct: Volume, track: Known, rules: FociRules) -> CtLesion | None:
    """The nodule that lies where the track is expected, the one nearest to it in size; None where the CT shows none."""
    radius = max(4.0, float(np.cbrt(3.0 * track.focus.volume_ml * 1000.0 / (4.0 * np.pi))))
    reach = radius + MARGIN_MM
    bounds = crop_around(ct.geometry, track.place - reach, track.place + reach)
    if bounds is None:
        return None
    crop = ct.geometry.cropped(*bounds)
    i, j, k = (min(max(s, SPACING_MM[0]), SPACING_MM[1]) for s in crop.spacing_mm)
    grid = crop.with_spacing((i, j, k))
    inner = tuple(slice(a, b) for a, b in zip(*bounds, strict=True))
    hu = onto_grid(ct.array[inner], crop, grid, order=1, outside=-1024.0)
    at = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    best: NDArray[np.bool_] | None = None
    least = np.inf
    offsets = (np.zeros(3), *(sign * OFF_MM * np.eye(3)[axis] for axis in range(3) for sign in (-1.0, 1.0)))
    for offset, size in product(offsets, SIZES):
        seed = ((at - track.place - offset) ** 2).sum(axis=-1) <= (size * radius) ** 2
        nodule = extent_on_ct(hu, seed, grid, rules) if seed.any() else None
        if nodule is None:
            continue
        other = abs(np.log(np.count_nonzero(nodule) * grid.voxel_volume_ml / max(track.focus.volume_ml, 0.05)))
        if other < least:
            best, least = nodule, other
    return None if best is None else CtLesion(best, grid, track.focus.organ or "")


def _measured(ct: Volume, lesion: CtLesion, before: Focus, number: int, rules: FociRules) -> Focus:
    mask, grid = lesion.mask, lesion.geometry
    read, shape = axial_diameters(mask, grid), shape_of(mask, grid)
    hu = onto_grid(ct.array, ct.geometry, grid, order=1, outside=-1024.0, antialias=False)
    x, y, z = (float(c) for c in grid.to_world(np.argwhere(mask)).mean(axis=0))
    features = {
        "picture": 0.0, "sphericity": shape.sphericity, "elongation": shape.elongation, "length_mm": shape.length_mm,
        "short_long_ratio": read.short_mm / read.longest_mm, "size_from_ct": 1.0, "ct_nodule_mm": read.longest_mm,
    } | ct_features(hu, mask, grid, rules)
    return Focus(
        id=number, centroid_ras_mm=(x, y, z), volume_ml=float(np.count_nonzero(mask)) * grid.voxel_volume_ml,
        longest_mm=read.longest_mm, short_mm=min(read.short_mm, read.longest_mm), organ=before.organ,
        organ_fraction=before.organ_fraction, source=FocusSource.CT, is_node=before.is_node, features=features,
    )


def _paint(labels: NDArray[np.uint16], geometry: Geometry, lesion: CtLesion, focus: Focus) -> None:
    """Paints a lesion where no other is."""
    corners = lesion.geometry.corners_mm()
    bounds = crop_around(geometry, corners.min(axis=0), corners.max(axis=0))
    assert bounds is not None
    target = geometry.cropped(*bounds)
    painted = onto_grid(lesion.mask.astype(np.float32), lesion.geometry, target, order=1, antialias=False) >= 0.5
    view = labels[tuple(slice(a, b) for a, b in zip(*bounds, strict=True))]
    view[painted & (view == 0)] = focus.id
