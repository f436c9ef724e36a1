"""The learned attribution model as a folder: ``model.safetensors``, ``attribution.json`` (card) and MODEL_CARD.md.

Never a pickle: arrays are checked and walked by ``attribution.learned``. The card holds the sha256 of the arrays and
of itself, so that a changed file of either is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from irae.attribution.features import FEATURE_TABLE
from irae.attribution.learned import CLASSES, KINDS, LearnedModel, Linear, Margins, Seen
from irae.io.atomic import written_aside
from irae.models.package import README_FILE, WEIGHTS_FILE, Metric, PackageError

ATTRIBUTION_FOLDER = "attribution"
ATTRIBUTION_CARD = "attribution.json"
ATTRIBUTION_SCHEMA = "irae.attribution-model/1"
# Arrays of what the model was trained on, beside the model's own in the weights file; older packages have none.
_SEEN = ("centre", "scale", "typical")
_SEEN_PREFIX = "seen_"

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["schema", "kind", "classes", "features", "temperature", "least", "weights", "metrics", "training",
                 "data", "created_on", "intended_use", "limitations", "licence", "card_sha256"],
    "additionalProperties": False,
    "properties": {
        "schema": {"const": ATTRIBUTION_SCHEMA},
        "kind": {"enum": sorted(KINDS)},
        "classes": {"const": [nature.value for nature in CLASSES]},
        "features": {
            "type": "array", "minItems": 1, "maxItems": 500,
            "items": {
                "type": "object", "required": ["name", "unit", "subject"], "additionalProperties": False,
                "properties": {key: {"type": "string"} for key in ("name", "unit", "subject")},
            },
        },
        "temperature": {"type": "number", "exclusiveMinimum": 0},
        "least": _NUMBERS | {"minItems": 3, "maxItems": 3},
        "weights": {
            "type": "object", "required": ["file", "sha256"], "additionalProperties": False,
            "properties": {"file": {"const": WEIGHTS_FILE}, "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
        },
        "seen": {
            "type": "object", "required": ["limit"], "additionalProperties": False,
            "properties": {"limit": {"type": "number", "exclusiveMinimum": 0}},
        },
        "suv_max_alone": {
            "type": "object", "required": ["start", "weight", "centre", "scale", "missing", "least"],
            "additionalProperties": False,
            "properties": {key: {"type": "array"} for key in
                           ("start", "weight", "centre", "scale", "missing", "least")},
        },
        "metrics": {
            "type": "object",
            "additionalProperties": {
                "type": "object", "required": ["value", "low", "high", "n"], "additionalProperties": False,
                "properties": {key: {"type": ["number", "null"]} for key in ("value", "low", "high", "n")},
            },
        },
        "training": {"type": "object"}, "data": {"type": "object"},
        "created_on": {"type": "string"}, "intended_use": {"type": "string"}, "limitations": {"type": "string"},
        "licence": {"type": "string"}, "card_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AttributionCard:
    """What the package says of itself.

    Attributes:
        created_on, intended_use, limitations: For people.
        training, data: Settings of the fit; seeds and digests of what made its cases.
        metrics: Measured on patients that neither fitted nor calibrated it.
        suv_max_alone: The same kind of model on SUVmax alone, to compare with; None where it was not fitted.
    """

    created_on: str
    intended_use: str
    limitations: str
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    suv_max_alone: LearnedModel | None = None
    licence: str = "Apache-2.0"


def save_attribution(folder: Path, model: LearnedModel, card: AttributionCard) -> Path:
    """Writes the package; each file appears whole or not at all, the card last."""
    arrays = dict(model.margins.arrays())
    if model.seen is not None:
        arrays |= {_SEEN_PREFIX + name: getattr(model.seen, name) for name in _SEEN}
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    kind = next(name for name, made in KINDS.items() if isinstance(model.margins, made))
    units = {f.name: f for f in FEATURE_TABLE}
    document: dict[str, Any] = {
        "schema": ATTRIBUTION_SCHEMA, "kind": kind, "classes": [nature.value for nature in CLASSES],
        "features": [
            {"name": name, "unit": units[name].unit, "subject": units[name].subject.value} for name in model.features
        ],
        "temperature": model.temperature, "least": list(model.least),
        "weights": {"file": WEIGHTS_FILE, "sha256": hashlib.sha256(content).hexdigest()},
        "metrics": {k: {"value": m.value, "low": m.low, "high": m.high, "n": m.n} for k, m in card.metrics.items()},
        "training": dict(card.training), "data": dict(card.data), "created_on": card.created_on,
        "intended_use": card.intended_use, "limitations": card.limitations, "licence": card.licence,
    }
    if model.seen is not None:
        document["seen"] = {"limit": model.seen.limit}
    if card.suv_max_alone is not None:
        alone = card.suv_max_alone
        document["suv_max_alone"] = {name: array.tolist() for name, array in alone.margins.arrays().items()} | {
            "least": list(alone.least)}
    document["card_sha256"] = _card_sha256(document)
    _checked(document)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in ((WEIGHTS_FILE, content), (README_FILE, _readme(document).encode()),
                       (ATTRIBUTION_CARD, (json.dumps(document, indent=1) + "\n").encode())):
        with written_aside(folder / name) as aside:
            aside.write_bytes(data)
    return folder


def load_attribution(folder: Path) -> tuple[LearnedModel, AttributionCard]:
    """Reads and checks the package.

    Raises:
        PackageError: If a file is missing, changed or not what it should be; the message says which and why.
    """
    for name in (ATTRIBUTION_CARD, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise PackageError(f"attribution package {folder}: {name} is missing")
    try:
        document = json.loads((folder / ATTRIBUTION_CARD).read_bytes())
    except ValueError as error:
        raise PackageError(f"attribution package {folder}: {ATTRIBUTION_CARD} is not JSON: {error}") from error
    _checked(document)
    if _card_sha256(document) != document["card_sha256"]:
        raise PackageError(f"attribution package {folder}: {ATTRIBUTION_CARD} was changed after it was written")
    content = (folder / WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != document["weights"]["sha256"]:
        raise PackageError(f"attribution package {folder}: {WEIGHTS_FILE} is not the one that the card describes")
    try:
        arrays = load(content)
    except SafetensorError as error:
        raise PackageError(f"attribution package {folder}: {WEIGHTS_FILE} is not safetensors: {error}") from error
    names = tuple(feature["name"] for feature in document["features"])
    a, b, c = document["least"]
    try:
        seen = _seen(arrays, document.get("seen"))
        model = LearnedModel(
            features=names, margins=_margins(document["kind"], arrays, len(names)),
            temperature=document["temperature"], least=(a, b, c), seen=seen, digest=f"sha256:{document['card_sha256']}",
        )
        card = AttributionCard(
            created_on=document["created_on"], intended_use=document["intended_use"],
            limitations=document["limitations"], training=document["training"], data=document["data"],
            metrics={key: Metric(**m) for key, m in document["metrics"].items()},
            suv_max_alone=_alone(document.get("suv_max_alone")), licence=document["licence"],
        )
    except (TypeError, ValueError) as error:
        raise PackageError(f"attribution package {folder}: {error}") from error
    return model, card


def _seen(arrays: dict[str, NDArray[Any]], document: Mapping[str, Any] | None) -> Seen | None:
    """Takes what belongs to it out of the arrays."""
    found = {name: arrays.pop(_SEEN_PREFIX + name) for name in _SEEN if _SEEN_PREFIX + name in arrays}
    return None if document is None else Seen(limit=document["limit"], **found)


def _margins(kind: str, arrays: Mapping[str, NDArray[np.generic]], features: int) -> Margins:
    margins: Margins = KINDS[kind](**arrays)  # type: ignore[arg-type]
    if kind == "trees" and int(arrays["feature"].max(initial=-1)) >= features:
        raise ValueError(f"trees ask for a feature beyond the {features} of the card")
    if kind == "linear" and len(arrays["centre"]) != features:
        raise ValueError(f"linear model of {len(arrays['centre'])} features, the card names {features}")
    return margins


def _alone(document: Mapping[str, Any] | None) -> LearnedModel | None:
    if document is None:
        return None
    a, b, c = document["least"]
    arrays = {name: np.array(values) for name, values in document.items() if name != "least"}
    return LearnedModel(features=("suv_max",), margins=Linear(**arrays), temperature=1.0, least=(a, b, c))


def _checked(document: Any) -> None:
    try:
        jsonschema.validate(document, _SCHEMA)
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "card"
        raise PackageError(f"{ATTRIBUTION_CARD}: {where}: {error.message}") from error


def _card_sha256(document: Mapping[str, Any]) -> str:
    """Over the card without its own digest, as compact JSON with sorted keys."""
    rest = {key: value for key, value in document.items() if key != "card_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _readme(card: Mapping[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [f"| {key} | {number(m['value'])} | {number(m['low'])} to {number(m['high'])} | {m['n']} |"
            for key, m in card["metrics"].items()]
    limits = ", ".join(f"{name} {q:.3f}" for name, q in zip(card["classes"], card["least"], strict=True))
    return "\n".join([
        "# attribution", "", card["intended_use"], "", f"**Limits.** {card['limitations']}", "",
        f"- Kind: {card['kind']} on {len(card['features'])} features; temperature {card['temperature']:.3f}",
        f"- A nature cannot be ruled out from this probability on: {limits}",
        "- Asked only about foci like those it was trained on: "
        + (f"within {card['seen']['limit']:.1f} of a typical one" if "seen" in card else "not known, so never"),
        f"- Licence: {card['licence']}; made {card['created_on']}",
        f"- Weights: sha256 {card['weights']['sha256']}", "",
        "Measured on patients that neither fitted nor calibrated it (95 % bootstrap interval over patients):", "",
        "| measure | value | interval | n |", "| --- | --- | --- | --- |", *rows, "",
        "Features, settings and data: see `attribution.json`; how it decides: `docs/concepts/attribution.md`.", "",
    ])
