"""The response by one criterion, seen one way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum


class View(Enum):
    """Two ways to count: inflammation set aside as equivocal, or every new focus counted as tumour."""

    ATTRIBUTED = "attributed"
    AS_SEEN = "as_seen"


# How people write the names of the criteria.
CRITERION_NAMES: dict[str, str] = {
    "recist_1_1": "RECIST 1.1", "irecist": "iRECIST", "irrc": "irRC", "irrecist": "irRECIST", "imrecist": "imRECIST",
    "itrecist": "itRECIST", "lyric": "LYRIC", "percist_1_0": "PERCIST 1.0", "impercist5": "imPERCIST5",
    "ipercist": "iPERCIST", "impercist_review": "imPERCIST (as some reviews name it)", "percimt": "PERCIMT",
    "pecrit": "PECRIT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One criterion's answer at one exam, in one view.

    Attributes:
        criterion: Named rule set, e.g. ``irecist``.
        view: attributed or as_seen.
        category: The criterion's own word, e.g. ``iUPD``.
        sum_mm, baseline_mm, nadir_mm: Sums of target diameters in mm (SUL sums in g/mL live in ``sum_sul``).
        targets: Tracks of the target lesions, in this view.
        confirm_between: First and last date on which a confirming scan counts; None where nothing is to confirm.
        reasons: (rule id, sentence) pairs, in the order they were applied.
        readings: In how many other readings of the same images the category would be which, the most frequent first:
            diameters off by chance as those of two scans are (``response.readings``). Empty where none were drawn.
    """

    criterion: str
    view: View
    category: str
    sum_mm: float | None = None
    baseline_mm: float | None = None
    nadir_mm: float | None = None
    sum_sul: float | None = None
    baseline_sul: float | None = None
    targets: tuple[str, ...] = ()
    confirm_between: tuple[date, date] | None = None
    reasons: tuple[tuple[str, str], ...] = ()
    readings: tuple[tuple[str, int], ...] = ()

    @property
    def holds(self) -> float | None:
        """Share of the readings in which the category is the same; None where none were drawn."""
        drawn = sum(count for _, count in self.readings)
        return dict(self.readings).get(self.category, 0) / drawn if drawn else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hinge:
    """A single attribution on which categories turn: were the focus of this nature, these would be the categories."""

    focus: int
    if_nature: str
    categories: tuple[tuple[str, str], ...]  # (criterion, category)
