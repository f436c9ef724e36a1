"""Templates to pages: escaped, self-contained, written whole or not at all."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from irae.io.atomic import write_text
from irae.report import palette, words


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("irae.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "png": lambda png: "data:image/png;base64," + base64.b64encode(png).decode("ascii"),
        "number": words.number, "percent": words.percent, "probability": words.probability, "organ": words.organ,
        "short_hash": words.short_hash, "typeset": words.typeset,
    }
    environment.globals |= {"words": words, "palette": palette}
    return environment


def write_page(path: Path, template: str, values: dict[str, Any]) -> None:
    """Fills a template of the package and writes the page to ``path``."""
    write_text(path, _environment().get_template(template).render(values))
