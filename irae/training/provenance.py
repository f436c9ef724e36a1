"""What a card must say about where its training cases came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SYNTHETIC_LIMITS = (
    "Trained on synthetic patients only: the numbers here prove the plumbing, not clinical accuracy. Not validated on "
    "patients. Research use only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where cases come from.

    Attributes:
        limitations: For the card: what cannot be concluded from a model trained on them.
        licence: Under which the weights may be passed on, as far as the cases decide it.
        record: More for the card's ``data``: licences, patients and exams of each split ...
        place: Where they are, for the tracker: seeds, or the manifest's name.
    """

    limitations: str = SYNTHETIC_LIMITS
    licence: str = "Apache-2.0"
    record: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


SYNTHETIC = Provenance()
