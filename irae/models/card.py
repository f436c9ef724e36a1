"""What a model package says about itself: what the network is, takes and gives, how it was made, what it is worth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from irae.core.anatomy import BY_NAME, Irae

CARD_FILE, WEIGHTS_FILE = "card.json", "model.safetensors"
SCHEMA = "irae.model/1"
SCORINGS = ("scoring", "scoring_without_pet", "scoring_with_baseline", "scoring_with_baseline_without_pet")
# The further outputs of a classifier with severity: the logits of "at least 1", "at least 2" and "3", if it is there.
SEVERITIES = ("severity_1", "severity_2", "severity_3")
# A channel of this prefix and an organ's name is the probability of that organ, found by a coarser network before.
FOUND = "found:"
# The task of the network that is shown them.
FINE_TASK = "organs_fine"
# The task of a network that looks for lesions on PET/CT, and its one label.
FOCI_TASK, FOCI_LABEL = "foci", "lesion"


class PackageError(ValueError):
    """A model package that is refused, and why."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One input channel: its source and the values that become 0 and 1.

    Sources: ct, pet, mr, organ; the same place at the patient's baseline as baseline_ct, baseline_pet, baseline_mr;
    pet_present, baseline_present, which are 1 or 0 everywhere; and ``FOUND`` with an organ's name.
    gated: A classifier's channel that is shown at and near its organ only, so that hot or dense neighbours do not drown
    it.
    """

    source: str
    low: float
    high: float
    gated: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"channel {self.source}: needs low < high, got {self.low} and {self.high}")
        if self.found is not None and self.found not in BY_NAME:
            raise ValueError(f"channel {self.source}: no organ {self.found}; known are {sorted(BY_NAME)}")

    @property
    def found(self) -> str | None:
        """The organ whose coarse probability this channel is; None for every other source."""
        return self.source.removeprefix(FOUND) if self.source.startswith(FOUND) else None


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured value with its 95 % interval over n patients; None where it could not be measured."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling: probability = sigmoid(scale * logit + offset)."""

    scale: float
    offset: float

    def probability(self, logit: float) -> float:
        """The calibrated probability of a network's logit."""
        x = self.scale * logit + self.offset
        return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """At or above the threshold the irAE is suspected; sensitivity and specificity as measured at it."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Scoring:
    """From a classifier's logit to an answer."""

    calibration: Calibration
    operating_point: OperatingPoint


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Card:
    """Everything a package says about itself; checked against ``card.schema.json`` and the anatomy table.

    Attributes:
        name: Model name, as registered.
        task: ``organs``, ``organs_fine``, ``thyroid``, ``adrenals``, ``muscle``, ``pituitary``, ``foci`` or the value
            of an irAE.
        network, arguments, parameters: Row of ``nets.NETWORKS``, its arguments, its number of parameters.
        spacing_mm, patch, channels: The input contract: isotropic RAS grid, window or crop in voxels, channels.
        labels: Segmentation: organ names of the output channels 1, 2, ... (0 is background), or ``FOCI_LABEL``.
            Classification: the irAE, and ``SEVERITIES`` where the network also gives how severe it is.
        training: Settings of the run that made it. data: Where its cases came from, seeds and generator digest.
        metrics: Measured on cases that were never trained on.
        scoring: Classification only; for an exam with PET and without a baseline. The other three are the same for what
            else an exam may have, if PET and baseline are channels: the network then knows less or more, and its
            probabilities and threshold are others.
    """

    name: str
    task: str
    network: str
    arguments: Mapping[str, Any]
    parameters: int
    spacing_mm: float
    patch: tuple[int, int, int]
    channels: tuple[Channel, ...]
    labels: tuple[str, ...]
    created_on: str
    intended_use: str
    limitations: str
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    scoring: Scoring | None = None
    scoring_without_pet: Scoring | None = None
    scoring_with_baseline: Scoring | None = None
    scoring_with_baseline_without_pet: Scoring | None = None
    licence: str = "Apache-2.0"
    weights_sha256: str = ""
    weights_dtype: str = "float16"

    def __post_init__(self) -> None:
        found, gated = any(c.found is not None for c in self.channels), any(c.gated for c in self.channels)
        if found and self.task != FINE_TASK:
            raise ValueError(f"card {self.name}: only the task {FINE_TASK} is shown what a coarser network found")
        if gated and not self.is_classifier:
            raise ValueError(f"card {self.name}: only a classifier's channels are gated")
        if self.is_classifier:
            if self.labels not in ((self.task,), (self.task, *SEVERITIES)):
                raise ValueError(
                    f"card {self.name}: a classifier's label is its irAE, with or without {SEVERITIES}, "
                    f"got {self.labels}"
                )
            pet, baseline = self.reads("pet"), self.reads("baseline_present")
            needed = {scoring_name(pet=p, baseline=b) for p in {True, not pet} for b in {False, baseline}}
            given = {name for name in SCORINGS if getattr(self, name) is not None}
            if given != needed:
                raise ValueError(f"card {self.name}: its channels need {sorted(needed)}, got {sorted(given)}")
        else:
            known = {FOCI_LABEL} if self.task == FOCI_TASK else set(BY_NAME)
            unknown = sorted(set(self.labels) - known)
            if unknown:
                raise ValueError(f"card {self.name}: unknown labels {unknown}; known are {sorted(known)}")

    @property
    def is_classifier(self) -> bool:
        """Whether it scores an irAE (and does not segment)."""
        return self.task in {irae.value for irae in Irae}

    @property
    def gives_severity(self) -> bool:
        """Whether the network has outputs for severity."""
        return self.labels[1:] == SEVERITIES

    def reads(self, source: str) -> bool:
        """Whether a source is among the channels."""
        return any(channel.source == source for channel in self.channels)

    def scoring_for(self, *, pet: bool, baseline: bool) -> Scoring | None:
        """From logit to answer, given what the exam has; what is no channel of the network makes no difference."""
        name = scoring_name(pet=pet or not self.reads("pet"), baseline=baseline and self.reads("baseline_present"))
        scoring: Scoring | None = getattr(self, name)
        return scoring

    def to_json(self) -> dict[str, Any]:
        """The card as ``card.json`` holds it."""
        document: dict[str, Any] = {
            "schema": SCHEMA, "name": self.name, "task": self.task,
            "network": {"name": self.network, "arguments": dict(self.arguments), "parameters": self.parameters},
            "weights": {"file": WEIGHTS_FILE, "sha256": self.weights_sha256, "dtype": self.weights_dtype},
            "input": {
                "spacing_mm": self.spacing_mm, "patch": list(self.patch),
                "channels": [
                    {"source": c.source, "low": c.low, "high": c.high} | ({"gated": True} if c.gated else {})
                    for c in self.channels
                ],
            },
            "labels": list(self.labels), "training": dict(self.training), "data": dict(self.data),
            "metrics": {
                key: {"value": m.value, "low": m.low, "high": m.high, "n": m.n} for key, m in self.metrics.items()
            },
            "licence": self.licence, "intended_use": self.intended_use, "limitations": self.limitations,
            "created_on": self.created_on,
        }
        for key in SCORINGS:
            scoring: Scoring | None = getattr(self, key)
            if scoring is not None:
                document[key] = asdict(scoring)
        return document

    @classmethod
    def from_json(cls, document: Any) -> Card:
        """The card of a parsed ``card.json``.

        Raises:
            PackageError: If it does not follow the schema or contradicts itself.
        """
        try:
            jsonschema.validate(document, _schema())
            patch = document["input"]["patch"]
            return cls(
                name=document["name"], task=document["task"], network=document["network"]["name"],
                arguments=document["network"]["arguments"], parameters=document["network"]["parameters"],
                spacing_mm=float(document["input"]["spacing_mm"]), patch=(patch[0], patch[1], patch[2]),
                channels=tuple(Channel(**channel) for channel in document["input"]["channels"]),
                labels=tuple(document["labels"]), created_on=document["created_on"],
                intended_use=document["intended_use"], limitations=document["limitations"],
                training=document["training"], data=document["data"],
                metrics={key: Metric(**values) for key, values in document["metrics"].items()},
                **{name: _scoring(document.get(name)) for name in SCORINGS},
                licence=document["licence"], weights_sha256=document["weights"]["sha256"],
                weights_dtype=document["weights"]["dtype"],
            )
        except jsonschema.ValidationError as error:
            where = "/".join(str(part) for part in error.absolute_path) or "card"
            raise PackageError(f"{CARD_FILE}: {where}: {error.message}") from error
        except ValueError as error:
            raise PackageError(f"{CARD_FILE}: {error}") from error


def scoring_name(*, pet: bool, baseline: bool) -> str:
    """Which of ``SCORINGS`` holds for an exam with or without PET and baseline."""
    return "scoring" + ("_with_baseline" if baseline else "") + ("" if pet else "_without_pet")


def _scoring(document: Mapping[str, Any] | None) -> Scoring | None:
    if document is None:
        return None
    return Scoring(Calibration(**document["calibration"]), OperatingPoint(**document["operating_point"]))


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(Path(__file__).with_name("card.schema.json").read_text())
    return schema


def readme(card: Mapping[str, Any]) -> str:
    """``MODEL_CARD.md`` of a ``card.json``."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [
        f"| {key} | {number(m['value'])} | {number(m['low'])} to {number(m['high'])} | {m['n']} |"
        for key, m in card["metrics"].items()
    ]
    lines = [
        f"# {card['name']}", "", card["intended_use"], "", f"**Limits.** {card['limitations']}", "",
        f"- Task: {card['task']}; gives {', '.join(card['labels'])}",
        f"- Network: {card['network']['name']}, {card['network']['parameters']} parameters",
        f"- Input: {card['input']['spacing_mm']} mm isotropic, {card['input']['patch']} voxels, channels "
        + ", ".join(f"{c['source']} [{c['low']:g}, {c['high']:g}]" for c in card["input"]["channels"]),
        f"- Licence: {card['licence']}; made {card['created_on']}",
        f"- Weights: sha256 {card['weights']['sha256']}", "",
        "Measured on cases never trained on (95 % bootstrap interval over patients):", "",
        "| measure | value | interval | n |", "| --- | --- | --- | --- |", *rows, "",
        "Training settings and data: see `card.json`.",
    ]
    return "\n".join(lines) + "\n"
