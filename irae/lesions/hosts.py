"""Which organ a focus belongs to, and where the body's midline is."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.lesions.rules import ADRENAL, ADRENAL_GLANDS, BONE, BOWEL, LUNGS, NODE, FociRules
from irae.quant.region import box_around, organ_boxes

# Nodes lie against these; a focus that is only partly inside one of them is beside it.
_NODES_LIE_AGAINST = frozenset({"aorta", "heart", *LUNGS})
# What these hold is hot, and their masks follow it over what lies beside them.
_HOLLOW = BOWEL | {"stomach", "urinary_bladder"}


def host_organ(
    mask: NDArray[np.bool_],
    organ_labels: NDArray[np.uint8],
    names: Mapping[int, str],
    geometry: Geometry,
    tissue: Mapping[str, float],
    longest_mm: float,
    rules: FociRules,
    *,
    sphericity: float = 0.0,
    place: Mapping[str, float] | None = None,
    lung: str | None = None,
) -> tuple[str | None, float]:
    """The organ of a focus and the share of the focus inside that organ's mask.

    In order: a hilar or mediastinal node (lung masks run over the hilum, so that this is asked before the lung); a
    mesenteric node (masks of the small bowel run over what lies among its loops: a ball with fat about it is none); the
    organ that holds most of it, or a third of it unless it is a ball with fat about it at a hollow organ; the lung in
    whose hull it lies; bone, by its HU; an organ within whose margin most of it lies, unless fat lies between, but not
    the bowel, among whose loops nodes and ureters lie; a lymph node: soft tissue of a node's size in fat or against
    lung and vessels, not in the back, or, on a found adrenal gland or the upper pole of a kidney, an adrenal. Else, as
    with muscle all around, None.

    An adrenal is called that, whichever way it is told: a found gland is too small to be a background for what lies in
    it, and a metastasis may be all that is left of it.

    Args:
        mask: The focus on a crop.
        organ_labels: Organ labels on the same crop; all 0 where there are none.
        names: Label to organ.
        geometry: The crop.
        tissue: ``ct_features`` of the focus; empty without CT.
        longest_mm: Its longest diameter.
        rules: Margins.
        sphericity: Of the focus, 0..1.
        place: Where in the body it lies (``Landmarks.of``); without it no hilum is known.
        lung: The lung in whose hull it lies (``Landmarks.lung_at``).
    """
    if _is_mesenteric_node(mask, organ_labels, names, tissue, longest_mm, sphericity, rules):
        return NODE, 0.0
    organ, share = _host(mask, organ_labels, names, geometry, tissue, longest_mm, rules, sphericity=sphericity,
                         place=place or {}, lung=lung)
    return (ADRENAL if organ in ADRENAL_GLANDS else organ), share


def _host(
    mask: NDArray[np.bool_],
    organ_labels: NDArray[np.uint8],
    names: Mapping[int, str],
    geometry: Geometry,
    tissue: Mapping[str, float],
    longest_mm: float,
    rules: FociRules,
    *,
    sphericity: float,
    place: Mapping[str, float],
    lung: str | None,
) -> tuple[str | None, float]:
    """``host_organ``, the two adrenals by name."""
    size = int(np.count_nonzero(mask))
    counts = np.bincount(organ_labels[mask], minlength=256)
    counts[0] = 0
    best = int(counts.argmax())
    share = float(counts[best]) / size if best in names else 0.0
    organ = names.get(best) if share > 0 else None
    # In the head everything has bone about it.
    about = not place.get("head_neck") and tissue.get("rim_bone_fraction", 0.0) >= rules.bone_around_rim
    in_bone = is_bone(tissue) or (about and tissue.get("bone_around", 0.0) >= rules.bone_around)
    in_lung = tissue.get("rim_lung_fraction", 0.0) >= 0.35
    if (organ is None or organ in _NODES_LIE_AGAINST) and _is_hilar_node(organ, tissue, longest_mm, place, rules):
        return NODE, 0.0
    fatty_rim = tissue.get("rim_fat_fraction", 0.0) >= 0.35
    beside = (
        (organ in _NODES_LIE_AGAINST and not in_lung)
        or (organ == "vertebrae" and not in_bone)
        or (organ in _HOLLOW and fatty_rim and sphericity >= rules.beside_hollow_sphericity)
    )
    if organ is not None and share >= (0.6 if beside else 0.3):
        return organ, share
    if in_lung and organ is None:
        organ = _nearest(mask, organ_labels, names, geometry, 2.0 * rules.organ_margin_mm, only=LUNGS)
    if in_lung and organ in LUNGS:
        return organ, share
    if lung is not None and not in_bone and share < 0.3:
        return lung, 0.0
    if in_bone and names:
        near = _nearest(mask, organ_labels, names, geometry, rules.organ_margin_mm, only=("vertebrae",))
        return (near, share if near == organ else 0.0) if near else (BONE, 0.0)
    if not fatty_rim:
        solid = set(names.values()) - _NODES_LIE_AGAINST - BOWEL - {"vertebrae"}
        near = _nearest(mask, organ_labels, names, geometry, rules.organ_margin_mm, only=solid)
        if near is not None:
            return near, share if near == organ else 0.0
    soft = -60.0 <= tissue.get("ct_hu_mean", -1000.0) <= 180.0
    # Muscle all around: a deposit in it is no node, and its longest diameter is what RECIST measures.
    in_muscle = (tissue.get("rim_soft_fraction", 0.0) >= rules.muscle_rim
                 and tissue.get("rim_fat_fraction", 1.0) <= rules.muscle_rim_fat)
    dorsal = not place.get("head_neck") and place.get("behind_spine_mm", -np.inf) >= rules.dorsal_mm
    # Without any organ known, soft tissue could be liver as well as a node.
    if names and soft and not (in_muscle or dorsal) and longest_mm <= rules.node_longest_mm:
        gland = _nearest(mask, organ_labels, names, geometry, rules.organ_margin_mm, only=ADRENAL_GLANDS)
        if gland is not None:
            return gland, share if gland == organ else 0.0
        # A diseased adrenal may have no mask; in the fat on the upper pole of a kidney it is one sooner than a node.
        adrenal = place.get("off_adrenal_mm", np.inf) <= rules.adrenal_mm and fatty_rim
        return (ADRENAL if adrenal else NODE), 0.0
    return None, 0.0


def is_bone(tissue: Mapping[str, float]) -> bool:
    """Bone by its HU: cortex in or around it, marrow denser than soft tissue, or destroyed bone between cortices."""
    inside, rim = tissue.get("bone_fraction", 0.0), tissue.get("rim_bone_fraction", 0.0)
    marrow = tissue.get("ct_hu_mean", 0.0) >= 130.0 and inside + rim >= 0.15
    cortex = inside + 0.5 * rim >= 0.3 or rim >= 0.45 or (rim >= 0.2 and tissue.get("rim_soft_fraction", 1.0) <= 0.2)
    return cortex or marrow


def _is_hilar_node(
    organ: str | None, tissue: Mapping[str, float], longest_mm: float, place: Mapping[str, float], rules: FociRules
) -> bool:
    """Soft tissue at a hilum or in the mediastinum: medial, at mid-height, with vessels or mediastinum beside it.

    A nodule inside the lung has aerated lung on all sides. The heart reaches up to the hila only from below.
    """
    if not {"height_in_lungs", "off_midline_share"} <= place.keys() or "ct_hu_mean" not in tissue:
        return False
    low, high = rules.hilum_height if organ != "heart" else (rules.hilum_above_heart, rules.hilum_height[1])
    return (
        low <= place["height_in_lungs"] <= high
        and place["off_midline_share"] <= rules.hilum_off_midline
        and longest_mm <= rules.node_longest_mm
        and -60.0 <= tissue["ct_hu_mean"] <= 180.0
        and rules.hilum_rim_lung[0] <= tissue["rim_lung_fraction"] <= rules.hilum_rim_lung[1]
        and tissue["rim_soft_fraction"] >= rules.hilum_rim_soft
    )


def _is_mesenteric_node(
    mask: NDArray[np.bool_], organ_labels: NDArray[np.uint8], names: Mapping[int, str], tissue: Mapping[str, float],
    longest_mm: float, sphericity: float, rules: FociRules,
) -> bool:
    """A ball of soft tissue in the mask of the small bowel with fat about it: a hot loop is long, and no ball."""
    low, high = rules.mesenteric_hu
    return (
        longest_mm <= rules.node_longest_mm
        and sphericity >= rules.mesenteric_sphericity
        and low <= tissue.get("ct_hu_mean", -1000.0) <= high
        and tissue.get("rim_fat_fraction", 0.0) >= rules.mesenteric_rim_fat
        and names.get(int(np.bincount(organ_labels[mask], minlength=1).argmax())) == "small_bowel"
    )


def _nearest(
    mask: NDArray[np.bool_],
    organ_labels: NDArray[np.uint8],
    names: Mapping[int, str],
    geometry: Geometry,
    within_mm: float,
    *,
    only: Collection[str],
) -> str | None:
    """The organ that most of a focus lies within a margin of; None where more than half of it lies beyond."""
    box = box_around(mask, geometry, within_mm + 1.0)
    mask, organ_labels = mask[box], organ_labels[box]
    labels = [label for label, name in names.items() if name in only]
    there = np.isin(organ_labels, np.array(labels, np.uint8))
    if not there.any():
        return None
    away, nearest = ndimage.distance_transform_edt(~there, sampling=geometry.spacing_mm, return_indices=True)
    near = mask & (away <= within_mm)
    if 2 * np.count_nonzero(near) < np.count_nonzero(mask):
        return None
    i, j, k = nearest[:, near]
    return names[int(np.bincount(organ_labels[i, j, k]).argmax())]


def midline_ras_mm(organs: LabelMap | None, ct: Volume | None, pet: Volume | None) -> float | None:
    """The x of the body's midline: of the spine, else the middle of the body on CT, else of the uptake; or None."""
    if organs is not None:
        boxes = organ_boxes(organs)
        for organ in ("vertebrae", "brain"):
            if organ not in boxes:
                continue
            mask = organs.array[boxes[organ]] == organs.labels[organ]
            if np.count_nonzero(mask) * organs.geometry.voxel_volume_ml > 50.0:
                places = np.argwhere(mask)[::7] + [part.start for part in boxes[organ]]
                return float(organs.geometry.to_world(places).mean(axis=0)[0])
    for volume, limit in ((ct, -300.0), (pet, 0.3)):
        if volume is not None:
            places = np.argwhere(volume.array[::4, ::4, ::4] > limit) * 4.0
            if len(places) > 100:
                return float(np.median(volume.geometry.to_world(places)[:, 0]))
    return None
