"""The worklist as a page. Columns and their order follow what readers expect of a triage list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from irae.core.assessment import CRITERION_NAMES
from irae.worklist.answers import REASONS, Answer, Recorded
from irae.worklist.rows import Row

ACR_TIME = {1: "within minutes", 2: "within hours", 3: "within days"}
QC = {"ok": "OK", "limited": "limited", "rejected": "rejected"}
MODALITY = {"PT": "PET"}
# How an episode changed against the exam before.
CHANGE = {"new": "+ new", "recurrent": "+ recurrent", "ongoing": "± ongoing", "improving": "− improving",
          "resolved": "− resolved", "none": ""}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("irae.worklist"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"ACR_TIME": ACR_TIME, "QC": QC, "MODALITY": MODALITY, "CHANGE": CHANGE,
                            "REASONS": REASONS, "CRITERION": CRITERION_NAMES}
    return environment


def render(
    rows: Sequence[Row], standing: Mapping[str, Recorded], *, today: date, form_key: str, reader: str, written: bool
) -> str:
    """The page: open exams in reading order, then the answered ones; every exam is on it exactly once.

    Args:
        rows: All exams in reading order.
        standing: The answers that count, by exam.
        today: The day ages are counted to.
        form_key: What forms must carry.
        reader: Whose answers are recorded.
        written: Whether worklist.json exists.
    """
    return _environment().get_template("worklist.html.j2").render(
        open_rows=[row for row in rows if row.exam not in standing],
        answered=[(row, standing[row.exam]) for row in rows if row.exam in standing],
        today=today, form_key=form_key, reader=reader, written=written, dismissed=Answer.DISMISSED,
    )
