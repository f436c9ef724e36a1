"""Is a found mask believable? What is not is rejected with a sentence, never passed on quietly.

A segmentation network always answers, also on an image unlike anything it was trained on. These gates are what stands
between such an answer and a measurement: size, attenuation, connectedness and the order of organs in the body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.anatomy import BY_NAME
from irae.core.volume import Coverage, LabelMap, Volume


@dataclass(frozen=True, slots=True)
class HuGate:
    """An organ's median HU must lie in low..high, and at least ``share`` of its voxels in ``within``.

    surely_to: Up to this median a mask is believed all the same where its network is sure of it
    (``Plausibility.sure``): a lung may be opaque from apex to base.
    """

    low: float
    high: float
    within: tuple[float, float] = (-1100.0, 3100.0)
    share: float = 0.0
    surely_to: float | None = None


# Design values. They contain the native to late-arterial attenuation of each organ (and its disease: fatty liver,
# consolidated lung, oedema) with room for scanner offset and low-dose noise; sources of the tissue values are listed
# in the phantom's tissue table.
_SOLID = (-200.0, 450.0)
HU_GATES: dict[str, HuGate] = {
    "lung_left": HuGate(-990.0, -150.0, surely_to=80.0),
    "lung_right": HuGate(-990.0, -150.0, surely_to=80.0),
    "colon": HuGate(-1010.0, 500.0),
    "small_bowel": HuGate(-300.0, 500.0, (-1100.0, 900.0), 0.9),
    "liver": HuGate(-30.0, 220.0, _SOLID, 0.9),
    "spleen": HuGate(0.0, 300.0, _SOLID, 0.85),
    "thyroid_gland": HuGate(20.0, 350.0, (-250.0, 900.0), 0.8),
    "kidney_left": HuGate(0.0, 350.0, (-250.0, 900.0), 0.8),
    "kidney_right": HuGate(0.0, 350.0, (-250.0, 900.0), 0.8),
    "heart": HuGate(0.0, 450.0, (-250.0, 900.0), 0.85),
    "aorta": HuGate(10.0, 600.0, (-250.0, 900.0), 0.85),
    "stomach": HuGate(-1010.0, 600.0),
    "urinary_bladder": HuGate(-30.0, 800.0, (-250.0, 3100.0), 0.85),
    "brain": HuGate(10.0, 110.0, (-250.0, 900.0), 0.85),
    "pancreas": HuGate(-70.0, 250.0, (-250.0, 900.0), 0.85),
    "vertebrae": HuGate(50.0, 800.0, (-250.0, 3100.0), 0.85),
    "adrenal_gland_left": HuGate(-30.0, 250.0, (-250.0, 900.0), 0.85),
    "adrenal_gland_right": HuGate(-30.0, 250.0, (-250.0, 900.0), 0.85),
    "skeletal_muscle": HuGate(-10.0, 140.0, _SOLID, 0.85),
}


@dataclass(frozen=True, slots=True)
class Order:
    """An organ's centre must lie further along a world axis than another's; if not, ``reject`` is not believed."""

    organ: str
    axis: int  # 0: to the patient's right, 1: to the front, 2: towards the head
    beyond: str
    reject: tuple[str, ...]
    text: str


def _order(organ: str, axis: int, beyond: str, text: str, *reject: str) -> Order:
    return Order(organ, axis, beyond, reject or (organ,), text)


# Anatomical position. Situs inversus fails these rules; it is then said to be not assessable, which is right to review.
ORDERS: tuple[Order, ...] = (
    _order("lung_right", 0, "lung_left", "right lung lies left of the left lung", "lung_left", "lung_right"),
    _order("kidney_right", 0, "kidney_left", "right kidney lies left of the left kidney", "kidney_left",
           "kidney_right"),
    _order("lung_right", 2, "liver", "liver lies above the right lung", "liver"),
    _order("lung_left", 2, "liver", "liver lies above the left lung", "liver"),
    _order("liver", 0, "spleen", "spleen lies right of the liver", "spleen"),
    _order("liver", 0, "stomach", "stomach lies right of the liver", "stomach"),
    _order("lung_left", 2, "spleen", "spleen lies above the left lung", "spleen"),
    _order("lung_left", 2, "kidney_left", "left kidney lies above the left lung", "kidney_left"),
    _order("lung_right", 2, "kidney_right", "right kidney lies above the right lung", "kidney_right"),
    _order("heart", 2, "liver", "heart lies below the liver", "heart"),
    _order("lung_right", 2, "colon", "colon lies above the right lung", "colon"),
    _order("lung_left", 2, "colon", "colon lies above the left lung", "colon"),
    _order("lung_left", 2, "small_bowel", "small bowel lies above the left lung", "small_bowel"),
    _order("liver", 2, "urinary_bladder", "bladder lies above the liver", "urinary_bladder"),
    _order("heart", 2, "pancreas", "pancreas lies above the heart", "pancreas"),
    _order("thyroid_gland", 2, "heart", "thyroid lies below the heart"),
    _order("thyroid_gland", 2, "lung_right", "thyroid lies below the right lung's centre"),
    _order("thyroid_gland", 2, "lung_left", "thyroid lies below the left lung's centre"),
    _order("thyroid_gland", 2, "liver", "thyroid lies below the liver"),
    _order("adrenal_gland_right", 0, "adrenal_gland_left", "right adrenal gland lies left of the left one",
           "adrenal_gland_left", "adrenal_gland_right"),
    _order("adrenal_gland_left", 0, "kidney_left", "left adrenal gland lies lateral of the left kidney"),
    _order("kidney_right", 0, "adrenal_gland_right", "right adrenal gland lies lateral of the right kidney",
           "adrenal_gland_right"),
    _order("adrenal_gland_left", 2, "kidney_left", "left adrenal gland lies below the left kidney's centre"),
    _order("adrenal_gland_right", 2, "kidney_right", "right adrenal gland lies below the right kidney's centre"),
    _order("adrenal_gland_left", 1, "kidney_left", "left adrenal gland lies behind the left kidney's centre"),
    _order("adrenal_gland_right", 1, "kidney_right", "right adrenal gland lies behind the right kidney's centre"),
    _order("lung_left", 2, "adrenal_gland_left", "left adrenal gland lies above the left lung's centre",
           "adrenal_gland_left"),
    _order("lung_right", 2, "adrenal_gland_right", "right adrenal gland lies above the right lung's centre",
           "adrenal_gland_right"),
    _order("brain", 2, "lung_right", "brain lies below the lungs"),
    _order("brain", 2, "liver", "brain lies below the liver"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plausibility:
    """The gates' settings; all are design values.

    Attributes:
        hu, orders: Attenuation gates by organ, and position rules (later ones count believed organs only).
        keep_share: A connected part smaller than this share of the organ's largest is cleaned away (1: largest only).
        keep_share_of: The same for organs that are naturally in several parts in a slab of the body.
        connected_share: The parts kept must hold this share of all voxels found, else the find is scattered.
        least_probability: A network must give its own mask at least this probability on average.
        least_probability_of: The same for organs whose outlines are uncertain even where they are found.
        sure: Mean probability from which a network is sure of its mask.
        partial_share: An organ cut by the border needs this share of its least whole volume to be measured at all.
        sella_mm: Where the pituitary may lie from the middle of the head (or of the part of it in the picture), to the
            right, to the front, towards the vertex: it is in the midline, a little in front.
    """

    hu: Mapping[str, HuGate] = field(default_factory=lambda: HU_GATES)
    orders: tuple[Order, ...] = ORDERS
    keep_share: float = 1.0
    keep_share_of: Mapping[str, float] = field(
        default_factory=lambda: {
            "colon": 0.03, "small_bowel": 0.05, "vertebrae": 0.05, "thyroid_gland": 0.2, "aorta": 0.1, "pancreas": 0.2,
            "stomach": 0.3, "lung_left": 0.2, "lung_right": 0.2, "adrenal_gland_left": 0.2, "adrenal_gland_right": 0.2,
            "skeletal_muscle": 0.1,
        }
    )
    connected_share: float = 0.6
    least_probability: float = 0.6
    least_probability_of: Mapping[str, float] = field(default_factory=lambda: {"colon": 0.5, "small_bowel": 0.5})
    sure: float = 0.8
    partial_share: float = 0.1
    sella_mm: tuple[tuple[float, float], ...] = ((-20.0, 20.0), (-30.0, 60.0), (-60.0, 60.0))


PLAUSIBILITY = Plausibility()


def cleaned(
    labels: NDArray[np.uint8], organs: Mapping[str, int], rules: Plausibility = PLAUSIBILITY
) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """Each organ without its small loose parts, in one pass over all organs.

    Returns:
        The cleaned labels, and for each organ found the share of its voxels that was kept.
    """
    result = labels.copy()
    occupied = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not occupied[0].size:
        return result, {}
    box = tuple(slice(int(found[0]), int(found[-1]) + 1) for found in occupied)
    part = np.ascontiguousarray(labels[box])
    components, count = cc3d.connected_components(part, connectivity=26, return_N=True)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    owner = np.zeros(count + 1, dtype=np.uint8)
    owner[components.ravel()] = part.ravel()
    keep = np.zeros(count + 1, dtype=bool)
    kept: dict[str, float] = {}
    for organ, value in organs.items():
        mine = np.flatnonzero(owner == value)
        if not mine.size:
            continue
        largest = sizes[mine].max()
        chosen = mine[sizes[mine] >= rules.keep_share_of.get(organ, rules.keep_share) * largest]
        keep[chosen] = True
        kept[organ] = float(sizes[chosen].sum() / sizes[mine].sum())
    result[box] = np.where(keep[components], part, 0)
    return result, kept


def believed(
    labels: NDArray[np.uint8],
    image: Volume,
    organs: Sequence[str],
    *,
    clean: bool,
    probability: Mapping[str, float] | None = None,
    rules: Plausibility = PLAUSIBILITY,
) -> LabelMap:
    """A label map of what can be believed of a raw segmentation.

    Args:
        labels: uint8 on the image's grid, values of ``core.anatomy``; other values are dropped.
        image: The CT (or MR: attenuation gates do not apply) that was segmented.
        organs: The organs that were looked for; those without voxels get coverage NONE.
        probability: Organ to the mean probability that a network gave its mask, where there is one.
        clean: Whether small loose parts are removed first (a network's answer; a person's masks are left as drawn).
    """
    geometry = image.geometry
    values = {organ: BY_NAME[organ].label for organ in organs}
    kept_values = np.zeros(256, np.uint8)  # a table, ten times as fast as np.isin
    kept_values[list(values.values())] = list(values.values())
    array = kept_values[labels]
    kept: Mapping[str, float] = {}
    if clean:
        if "pituitary" in values:
            array = _near_sella(array, values["pituitary"], image, rules)
        array, kept = cleaned(array, values, rules)
    measured = _measure(array, image, values)
    coverage: dict[str, Coverage] = {}
    rejected: dict[str, str] = {}
    for organ in organs:
        found = measured.get(organ)
        if found is None:
            coverage[organ] = Coverage.NONE
            continue
        sure = 1.0 if probability is None else probability.get(organ, 1.0)
        why = _why_not(organ, found, kept.get(organ, 1.0), sure, image, rules)
        least = rules.least_probability_of.get(organ, rules.least_probability)
        if not why and sure < least:
            why = (
                f"{BY_NAME[organ].display} mask not believed: the network itself gives it {100 * sure:.0f} % on "
                f"average, under {100 * least:.0f} %"
            )
        if why:
            rejected[organ] = why
        coverage[organ] = Coverage.NONE if why else Coverage.PARTIAL if found.at_border else Coverage.WHOLE
    for order in rules.orders:
        if all(coverage.get(name, Coverage.NONE) is not Coverage.NONE for name in (order.organ, order.beyond)):
            one, other = measured[order.organ].centre_mm, measured[order.beyond].centre_mm
            if one[order.axis] <= other[order.axis]:
                for organ in order.reject:
                    rejected[organ] = f"{BY_NAME[organ].display} mask not believed: the {order.text}"
                    coverage[organ] = Coverage.NONE
    if rejected:
        array = np.where(np.isin(array, [values[organ] for organ in rejected]), 0, array).astype(np.uint8)
    return LabelMap(array=array, geometry=geometry, labels=values, coverage=coverage, rejected=rejected)


@dataclass(frozen=True, slots=True)
class _Found:
    volume_ml: float
    at_border: bool
    centre_mm: tuple[float, float, float]
    hu: NDArray[np.float32]


def _measure(array: NDArray[np.uint8], image: Volume, values: Mapping[str, int]) -> dict[str, _Found]:
    boxes = ndimage.find_objects(array, max_label=255)
    found: dict[str, _Found] = {}
    for organ, value in values.items():
        box = boxes[value - 1]
        if box is None:
            continue
        mask = array[box] == value
        count = int(np.count_nonzero(mask))
        centre = [
            box[axis].start + float(mask.sum(axis=tuple({0, 1, 2} - {axis})) @ np.arange(mask.shape[axis])) / count
            for axis in range(3)
        ]
        x, y, z = image.geometry.to_world(centre).tolist()
        found[organ] = _Found(
            volume_ml=count * image.geometry.voxel_volume_ml,
            at_border=any(part.start == 0 or part.stop == n for part, n in zip(box, array.shape, strict=True)),
            centre_mm=(x, y, z), hu=image.array[box][mask],
        )
    return found


def _why_not(organ: str, found: _Found, kept: float, sure: float, image: Volume, rules: Plausibility) -> str:
    row = BY_NAME[organ]
    least, most = row.volume_ml
    said = f"{row.display} mask not believed: "
    if found.volume_ml > most:
        return said + f"{found.volume_ml:.0f} mL is more than the {most:g} mL of any adult"
    if not found.at_border and found.volume_ml < least:
        return said + f"{found.volume_ml:.3g} mL is less than the {least:g} mL of any adult"
    if found.at_border and found.volume_ml < rules.partial_share * least:
        return f"only {found.volume_ml:.3g} mL of the {row.display} lie in the field of view"
    if kept < rules.connected_share:
        return said + f"it is scattered, its main part holds only {100 * kept:.0f} % of it"
    if organ == "pituitary":
        offset = np.array(found.centre_mm) - _middle_of_head(image)
        for value, (low, high), side in zip(offset, rules.sella_mm, ("right", "front", "top"), strict=True):
            if not low <= value <= high:
                return said + f"{value:.0f} mm to the {side} of the head's middle; {low:g} to {high:g} mm is possible"
    gate = rules.hu.get(organ) if image.quantity.value == "HU" else None
    if gate is None:
        return ""
    median = float(np.median(found.hu))
    high = gate.high if gate.surely_to is None or sure < rules.sure else gate.surely_to
    if not gate.low <= median <= high:
        return said + f"median {median:.0f} HU is outside {gate.low:g} to {high:g} HU"
    inside = float(((found.hu >= gate.within[0]) & (found.hu <= gate.within[1])).mean())
    if inside < gate.share:
        low, high = gate.within
        return said + f"{100 * inside:.0f} % of it is in {low:g} to {high:g} HU; at least {100 * gate.share:.0f} % must"
    return ""


def _near_sella(
    array: NDArray[np.uint8], value: int, image: Volume, rules: Plausibility
) -> NDArray[np.uint8]:
    """The labels without pituitary where none can be: a bright vessel elsewhere must not hide the gland."""
    found = np.argwhere(array == value)
    if not len(found):
        return array
    low, high = np.array(rules.sella_mm).T
    offset = image.geometry.to_world(found) - _middle_of_head(image)
    outside = found[((offset < low) | (offset > high)).any(axis=1)]
    kept = array.copy()
    kept[tuple(outside.T)] = 0
    return kept


def _middle_of_head(image: Volume) -> NDArray[np.float64]:
    """The centre of what is brighter than background, RAS mm."""
    low, high = np.percentile(image.array, [1.0, 99.0])
    inside = image.array > low + 0.15 * (high - low)
    total = max(1, int(np.count_nonzero(inside)))
    index = [float(inside.sum(axis=tuple({0, 1, 2} - {a})) @ np.arange(inside.shape[a])) / total for a in range(3)]
    return image.geometry.to_world(index)
