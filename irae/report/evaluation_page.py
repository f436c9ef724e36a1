"""The page of an evaluation: what models are worth, with intervals, subgroups and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irae.report.curves import dice_picture, froc_picture, reliability_picture, roc_picture
from irae.report.pages import write_page


def write_evaluation_page(path: Path, document: Mapping[str, Any]) -> None:
    """Writes the page of what ``training.evaluation_summary.summary`` gives, with ``data`` and ``models`` added."""
    pictures: dict[str, Any] = {
        "dice": dice_picture(document["organs"]) if document["organs"] else None,
        "froc": {name: froc_picture(its["curve"]) for name, its in document["foci"].items() if its["curve"]},
        "roc": {name: roc_picture(its["roc"]) for name, its in document["iraes"].items() if its["roc"]},
        "reliability": {
            name: reliability_picture(its["reliability"]) for name, its in document["iraes"].items()
            if its["reliability"]
        },
    }
    write_page(path, "evaluation.html.j2", {"document": document, "pictures": pictures})
