"""Other programs' organ names, in this project's terms."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import BY_NAME

# Parts and older names of TotalSegmentator (classes of its tasks total v1, total v2 and total_mr).
_PARTS = {
    "duodenum": "small_bowel",
    "stomach_wall": "stomach",
    "heart_myocardium": "heart", "heart_atrium_left": "heart", "heart_ventricle_left": "heart",
    "heart_atrium_right": "heart", "heart_ventricle_right": "heart", "atrial_appendage_left": "heart",
    "thyroid": "thyroid_gland", "bladder": "urinary_bladder", "large_bowel": "colon", "left_lung": "lung_left",
    "right_lung": "lung_right", "left_kidney": "kidney_left", "right_kidney": "kidney_right", "spine": "vertebrae",
    "pituitary_gland": "pituitary",
    # Of all muscles TotalSegmentator's task total has these; its task tissue_types has them together.
    **{f"{part}_{side}": "skeletal_muscle" for part in ("autochthon", "iliopsoas", "gluteus_maximus", "gluteus_medius",
                                                        "gluteus_minimus") for side in ("left", "right")},
}
_PATTERNS = (
    (re.compile(r"^lung_(upper|middle|lower)_lobe_left$"), "lung_left"),
    (re.compile(r"^lung_(upper|middle|lower)_lobe_right$"), "lung_right"),
    (re.compile(r"^vertebrae_[CTL]\d+$"), "vertebrae"),
)


def organ_of(name: str) -> str | None:
    """This project's organ of a class name; None for classes that it does not use.

    >>> organ_of("lung_upper_lobe_left"), organ_of("vertebrae_L3"), organ_of("Liver"), organ_of("rib_left_4")
    ('lung_left', 'vertebrae', 'liver', None)
    """
    key = re.sub(r"[\s\-]+", "_", name.strip()).lower()
    if key in BY_NAME:
        return key
    if key in _PARTS:
        return _PARTS[key]
    return next((organ for pattern, organ in _PATTERNS if pattern.match(re.sub(r"[\s\-]+", "_", name.strip()))), None)


def organ_values(names: Mapping[int, str]) -> dict[int, int]:
    """Foreign label value to ``core.anatomy`` label, for the classes that are organs here."""
    found = {value: organ_of(name) for value, name in names.items()}
    return {value: BY_NAME[organ].label for value, organ in found.items() if organ is not None}


def translated(array: NDArray[np.integer], names: Mapping[int, str]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """A foreign label map in this project's label values, and the organs its classes can give.

    Raises:
        ValueError: If values are negative or above 65535, or no class is an organ of the table.
    """
    values = organ_values(names)
    if not values:
        raise ValueError(f"none of the classes {sorted(names.values())[:8]} is an organ of this project")
    if array.size and (array.min() < 0 or array.max() > 65535):
        raise ValueError(f"label values must be 0 to 65535, got {array.min()} to {array.max()}")
    table = np.zeros(65536, dtype=np.uint8)
    for value, label in values.items():
        table[value] = label
    labels = {row.label: name for name, row in BY_NAME.items()}
    return table[array.astype(np.uint16)], tuple(sorted({labels[label] for label in values.values()}))
