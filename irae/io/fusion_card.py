"""A fitted fusion as a small package: ``fusion.json`` (values, provenance, hash) and ``MODEL_CARD.md``; no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from irae.core.anatomy import Irae
from irae.findings.fusion import INPUTS, FittedFusion, FittedIrae
from irae.io.atomic import write_text

FUSION_FILE, README_FILE = "fusion.json", "MODEL_CARD.md"
SCHEMA = "irae.fusion/1"
# What the record of a package must say besides the values.
RECORD = (
    "models", "data", "training", "metrics", "licence", "intended_use", "limitations", "created_on",
)


class FusionError(ValueError):
    """A fusion package that is refused, and why."""


def save_fusion(folder: Path, fusion: FittedFusion, record: Mapping[str, Any]) -> Path:
    """Writes a package; the values' sha256 is recorded with them.

    Args:
        folder: Made if absent.
        fusion: The fitted values.
        record: The keys of ``RECORD``: digests of the models it was fitted with, data, training, metrics and texts.

    Raises:
        ValueError: If the record lacks a key.
    """
    missing = [key for key in RECORD if key not in record]
    if missing:
        raise ValueError(f"fusion package: the record lacks {missing}")
    values = {irae.value: _values(fitted) for irae, fitted in fusion.iraes.items()}
    document = {
        "schema": SCHEMA, "name": "fusion", "inputs": list(INPUTS), "iraes": values, "sha256": _digest(values),
        **{key: record[key] for key in RECORD},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / README_FILE, _readme(document))
    write_text(folder / FUSION_FILE, json.dumps(document, indent=1) + "\n")
    return folder


def load_fusion(folder: Path) -> tuple[FittedFusion, dict[str, Any]]:
    """Reads and checks a package: the values and the whole document.

    Raises:
        FusionError: If a file is missing, is not such a package, or holds other values than were written.
    """
    path = folder / FUSION_FILE
    if not path.is_file():
        raise FusionError(f"fusion {folder}: {FUSION_FILE} is missing")
    raw = path.read_bytes()
    try:
        document = json.loads(raw)
        if document["schema"] != SCHEMA or tuple(document["inputs"]) != INPUTS:
            raise FusionError(f"fusion {folder}: schema {document['schema']!r} or its inputs are not those known here")
        if _digest(document["iraes"]) != document["sha256"]:
            raise FusionError(f"fusion {folder}: its values are not those whose sha256 it records")
        iraes = {
            Irae(name): FittedIrae(**{**values, "never_seen": tuple(values["never_seen"])})
            for name, values in document["iraes"].items()
        }
    except FusionError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise FusionError(f"fusion {folder}: {FUSION_FILE} cannot be read: {error}") from error
    return FittedFusion(iraes=iraes, digest=f"sha256:{hashlib.sha256(raw).hexdigest()}"), document


def find_fusion(folder: Path) -> Path | None:
    """The fusion package in a folder of packages; None where there is none.

    Raises:
        FusionError: If there are several.
    """
    found = sorted({path.parent for path in (*folder.glob(FUSION_FILE), *folder.glob(f"*/{FUSION_FILE}"))})
    if len(found) > 1:
        raise FusionError(f"{folder}: several fusion packages, {', '.join(path.name for path in found)}")
    return found[0] if found else None


def _values(fitted: FittedIrae) -> dict[str, Any]:
    return asdict(fitted) | {"coefficients": dict(fitted.coefficients), "never_seen": list(fitted.never_seen)}


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _readme(document: Mapping[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [
        f"| {key} | {number(m['value'])} | {number(m['low'])} to {number(m['high'])} | {m['n']} |"
        for key, m in document["metrics"].items()
    ]
    return "\n".join([
        "# fusion", "", document["intended_use"], "", f"**Limits.** {document['limitations']}", "",
        f"- Values: sha256 {document['sha256']}",
        f"- Licence: {document['licence']}; made {document['created_on']}",
        f"- Fitted with: {', '.join(sorted(document['models']))}", "",
        "Measured on synthetic patients never fitted on (95 % bootstrap interval over patients):", "",
        "| measure | value | interval | n |", "| --- | --- | --- | --- |", *rows, "",
        "Values, settings and data: see `fusion.json`.",
    ]) + "\n"
