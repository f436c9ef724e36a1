"""Which organ of the table a segment is: by its code first, by its name else; never by guessing."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from pydicom.sr.coding import Code

from irae.core.anatomy import BY_NAME, ORGANS
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap
from irae.io.annotations.value import Annotation

# Parts that are counted with the organ they belong to (SNOMED CT; the lobe codes are TotalSegmentator's).
_PART_OF: dict[str, str] = {
    "9040008": "colon",  # ascending
    "485005": "colon",  # transverse
    "32622004": "colon",  # descending
    "60184004": "colon",  # sigmoid
    "32713005": "colon",  # caecum
    "38848004": "small_bowel",  # duodenum
    "72481006": "lung_right",  # middle lobe
    "421060004": "vertebrae",  # spine
}
_LOBES = ("45653009", "90572001", "31094006")  # upper, lower, lobe of lung: the side is in the modifier
_SIDES = {"7771000": "left", "24028007": "right"}

# Names of TotalSegmentator, of AAPM TG-263 and of plain English, in lower case with single underscores. Whole names
# only: "liver_mets" is not the liver.
_ALIASES: dict[str, tuple[str, ...]] = {
    "lung_left": ("left_lung", "lung_l", "lung_upper_lobe_left", "lung_lower_lobe_left"),
    "lung_right": (
        "right_lung", "lung_r", "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right",
    ),
    "colon": ("large_bowel", "bowel_large", "large_intestine", "colon_sigmoid", "sigmoid_colon"),
    "small_bowel": ("bowel_small", "small_intestine", "smallbowel", "duodenum"),
    "thyroid_gland": ("thyroid", "glnd_thyroid"),
    "kidney_left": ("left_kidney", "kidney_l"),
    "kidney_right": ("right_kidney", "kidney_r"),
    "aorta": ("a_aorta",),
    "urinary_bladder": ("bladder",),
    "vertebrae": ("spine", "vertebral_column"),
    "pituitary": ("pituitary_gland", "hypophysis", "glnd_pituitary"),
}
_BY_ALIAS = {alias: organ for organ, aliases in _ALIASES.items() for alias in aliases}


def organ_named(
    name: str, *, code: tuple[str, str, str] | None = None, modifiers: Iterable[tuple[str, str, str]] = ()
) -> str | None:
    """The organ of the table that a segment is; None where it is none of them, or its side is not told.

    Args:
        name: The segment's name.
        code: (value, scheme, meaning) of its type; SNOMED-RT codes (SRT) count as their SNOMED CT equals.
        modifiers: Modifiers of the type, e.g. its side.

    >>> organ_named("seg 1", code=("T-62000", "SRT", "Liver"))
    'liver'
    >>> organ_named("Lung_L"), organ_named("Lung"), organ_named("liver_mets"), organ_named("vertebrae_L5")
    ('lung_left', None, None, 'vertebrae')
    """
    by_name = _by_name(name)
    if code is None:
        return by_name
    sides = [_SIDES[m[0]] for m in modifiers if m[0] in _SIDES]
    kind = Code(*code)
    for part, organ in _PART_OF.items():
        if kind == Code(part, "SCT", ""):
            return organ
    if any(kind == Code(lobe, "SCT", "") for lobe in _LOBES):
        return f"lung_{sides[0]}" if sides else by_name
    matches = [organ for organ in ORGANS if kind == Code(organ.snomed, "SCT", "")]
    if not matches:
        return None if kind.scheme_designator in ("SCT", "SRT") and not _says_nothing(kind) else by_name
    if len(matches) == 1:
        return matches[0].name
    sided = [organ.name for organ in matches if sides and organ.laterality == sides[0]]
    if sided:
        return sided[0]
    return by_name if by_name in {organ.name for organ in matches} else None


def _says_nothing(kind: Code) -> bool:
    """Tissue (OHIF's default type), Anatomical Structure, Body structure, Organ: the name has to tell."""
    return any(kind == Code(value, "SCT", "") for value in ("85756007", "91723000", "123037004", "113343008"))


def _by_name(name: str) -> str | None:
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if word in BY_NAME:
        return word
    if re.fullmatch(r"vertebrae_[ctls]\d{1,2}", word):
        return "vertebrae"
    return _BY_ALIAS.get(word)


def organs_of(annotations: Iterable[Annotation], geometry: Geometry) -> LabelMap:
    """The organs among annotations as one label map; a voxel of two organs belongs to the one that comes first.

    An organ that touches the grid's border is PARTIAL, else WHOLE: the annotator drew what there was to draw.
    """
    array = np.zeros(geometry.shape, dtype=np.uint8)
    coverage: dict[str, Coverage] = {}
    for item in annotations:
        if item.organ is None:
            continue
        part = array[item.where]
        part[item.box & (part == 0)] = BY_NAME[item.organ].label
        ends = np.array(item.start) + item.box.shape
        touches = min(item.start) == 0 or bool((ends == geometry.shape).any())
        before = coverage.get(item.organ, Coverage.WHOLE)
        coverage[item.organ] = Coverage.PARTIAL if touches else before
    return LabelMap(
        array=array, geometry=geometry, labels={name: BY_NAME[name].label for name in coverage}, coverage=coverage
    )
