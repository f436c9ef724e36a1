"""The patient's own earlier images, as the learned arm compares with them."""

from __future__ import annotations

from dataclasses import dataclass

from irae.core.anatomy import Irae
from irae.core.volume import LabelMap, Volume


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class BaselineImages:
    """Earlier images with the organs found on them. The head MR may be of another date than the CT.

    Attributes:
        ct, pet: In HU and SUVbw (g/mL), of one exam; pet only where there is a ct.
        organs: Organs on the CT's grid.
        mr: Contrast-enhanced T1 MR of the head.
        pituitary: The pituitary on the MR's grid.
        suspected: irAEs that were suspected on these images: their organ does not show the patient's normal.

    Raises:
        ValueError: If organs come without their image, or a PET without a CT.
    """

    ct: Volume | None = None
    pet: Volume | None = None
    organs: LabelMap | None = None
    mr: Volume | None = None
    pituitary: LabelMap | None = None
    suspected: frozenset[Irae] = frozenset()

    def __post_init__(self) -> None:
        if self.ct is None and (self.pet is not None or self.organs is not None):
            raise ValueError("baseline: PET and organs need the CT of their exam")
        if self.mr is None and self.pituitary is not None:
            raise ValueError("baseline: a pituitary needs its MR")
