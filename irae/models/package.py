"""A model package: a folder with ``model.safetensors``, ``card.json`` and ``MODEL_CARD.md``. Never a pickle.

The card says what the network is, what it takes and gives, how it was made and what it is worth. It records the sha256
of the weights, so the sha256 of the card identifies the whole package.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from irae.core.anatomy import BY_NAME, Irae
from irae.io.atomic import written_aside
from irae.models.nets import build_network

WEIGHTS_FILE, CARD_FILE, README_FILE = "model.safetensors", "card.json", "MODEL_CARD.md"
SCHEMA = "irae.model/1"


class PackageError(ValueError):
    """A model package that is refused, and why."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One input channel: its source (ct, pet, pet_present, mr, organ) and the values that become 0 and 1."""

    source: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"channel {self.source}: needs low < high, got {self.low} and {self.high}")


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
        task: ``organs``, ``thyroid``, ``pituitary`` or the value of an irAE.
        network, arguments, parameters: Row of ``nets.NETWORKS``, its arguments, its number of parameters.
        spacing_mm, patch, channels: The input contract: isotropic RAS grid, window or crop in voxels, channels.
        labels: Segmentation: organ names of the output channels 1, 2, ... (0 is background). Classification: the irAE.
        training: Settings of the run that made it. data: Where its cases came from, seeds and generator digest.
        metrics: Measured on cases that were never trained on.
        scoring: Classification only. scoring_without_pet: The same where the exam has no PET, if PET is a channel; the
            network then knows less, and its probabilities and threshold are others.
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
    licence: str = "Apache-2.0"
    weights_sha256: str = ""
    weights_dtype: str = "float16"

    def __post_init__(self) -> None:
        if self.is_classifier:
            if self.labels != (self.task,):
                raise ValueError(f"card {self.name}: a classifier's label is its irAE, got {self.labels}")
            reads_pet = any(channel.source == "pet" for channel in self.channels)
            if self.scoring is None or reads_pet != (self.scoring_without_pet is not None):
                raise ValueError(
                    f"card {self.name}: a classifier needs scoring, and scoring_without_pet if and only if it reads PET"
                )
        else:
            unknown = sorted(set(self.labels) - set(BY_NAME))
            if unknown:
                raise ValueError(f"card {self.name}: unknown organs {unknown}; known are {sorted(BY_NAME)}")

    @property
    def is_classifier(self) -> bool:
        """Whether it scores an irAE (and does not segment)."""
        return self.task in {irae.value for irae in Irae}

    def to_json(self) -> dict[str, Any]:
        """The card as ``card.json`` holds it."""
        document: dict[str, Any] = {
            "schema": SCHEMA, "name": self.name, "task": self.task,
            "network": {"name": self.network, "arguments": dict(self.arguments), "parameters": self.parameters},
            "weights": {"file": WEIGHTS_FILE, "sha256": self.weights_sha256, "dtype": self.weights_dtype},
            "input": {
                "spacing_mm": self.spacing_mm, "patch": list(self.patch),
                "channels": [{"source": c.source, "low": c.low, "high": c.high} for c in self.channels],
            },
            "labels": list(self.labels), "training": dict(self.training), "data": dict(self.data),
            "metrics": {
                key: {"value": m.value, "low": m.low, "high": m.high, "n": m.n} for key, m in self.metrics.items()
            },
            "licence": self.licence, "intended_use": self.intended_use, "limitations": self.limitations,
            "created_on": self.created_on,
        }
        for key in ("scoring", "scoring_without_pet"):
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
                channels=tuple(Channel(c["source"], c["low"], c["high"]) for c in document["input"]["channels"]),
                labels=tuple(document["labels"]), created_on=document["created_on"],
                intended_use=document["intended_use"], limitations=document["limitations"],
                training=document["training"], data=document["data"],
                metrics={key: Metric(**values) for key, values in document["metrics"].items()},
                scoring=_scoring(document.get("scoring")),
                scoring_without_pet=_scoring(document.get("scoring_without_pet")),
                licence=document["licence"], weights_sha256=document["weights"]["sha256"],
                weights_dtype=document["weights"]["dtype"],
            )
        except jsonschema.ValidationError as error:
            where = "/".join(str(part) for part in error.absolute_path) or "card"
            raise PackageError(f"{CARD_FILE}: {where}: {error.message}") from error
        except ValueError as error:
            raise PackageError(f"{CARD_FILE}: {error}") from error


@dataclass(frozen=True, eq=False, slots=True)
class Package:
    """A checked package: its card, its weights (float32) and the digest of the whole."""

    card: Card
    state: Mapping[str, torch.Tensor]
    digest: str

    def network(self, device: torch.device) -> nn.Module:
        """The network with these weights, ready to infer.

        Raises:
            PackageError: If the weights do not fit the network of the card.
        """
        try:
            network = build_network(self.card.network, self.card.arguments)
            network.load_state_dict(_with_second_names(network, self.state), strict=True)
        except (ValueError, RuntimeError) as error:
            raise PackageError(f"package {self.card.name}: {error}") from error
        return network.to(device).eval()


def save_package(folder: Path, card: Card, state: Mapping[str, torch.Tensor]) -> Path:
    """Writes a package; each file appears whole or not at all, the card last.

    Weights are kept as ``card.weights_dtype``, each once even if the network knows it by several names; the card's
    ``weights_sha256`` is filled in.
    """
    dtype = getattr(torch, card.weights_dtype)
    tensors = {
        name: (value.detach().to(dtype) if value.is_floating_point() else value.detach()).cpu().contiguous()
        for name, value in _by_first_name(state).items()
    }
    _refuse_non_finite(card.name, tensors)
    content = save(tensors)
    document = card.to_json()
    document["weights"]["sha256"] = hashlib.sha256(content).hexdigest()
    Card.from_json(document)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / WEIGHTS_FILE, content)
    _write(folder / README_FILE, _readme(document).encode())
    _write(folder / CARD_FILE, (json.dumps(document, indent=1) + "\n").encode())
    return folder


def load_package(folder: Path) -> Package:
    """Reads and checks a package; no network is built before every check has passed.

    Raises:
        PackageError: If a file is missing, the card is wrong, the weights are not those of the card, or are not finite.
    """
    for name in (CARD_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise PackageError(f"package {folder}: {name} is missing")
    raw_card = (folder / CARD_FILE).read_bytes()
    try:
        document = json.loads(raw_card)
    except ValueError as error:
        raise PackageError(f"package {folder}: {CARD_FILE} is not JSON: {error}") from error
    card = Card.from_json(document)
    content = (folder / WEIGHTS_FILE).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != card.weights_sha256:
        raise PackageError(
            f"package {folder}: {WEIGHTS_FILE} has sha256 {found[:12]}..., the card says {card.weights_sha256[:12]}...;"
            " the weights are not those the card describes"
        )
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise PackageError(f"package {folder}: {WEIGHTS_FILE} is not safetensors: {error}") from error
    _refuse_non_finite(card.name, tensors)
    state = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    return Package(card, state, f"sha256:{hashlib.sha256(raw_card).hexdigest()}")


def find_packages(folder: Path) -> tuple[Path, ...]:
    """The packages in a folder: it may be one itself, or hold one per sub-folder."""
    if (folder / CARD_FILE).is_file():
        return (folder,)
    return tuple(sorted(card.parent for card in folder.glob(f"*/{CARD_FILE}")))


def _by_first_name(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each tensor under the first of its names (MONAI's DynUNet holds every block twice)."""
    first: dict[tuple[int, torch.Size], str] = {}
    for name, value in state.items():
        first.setdefault((value.data_ptr(), value.shape), name)
    return {name: value for name, value in state.items() if first[value.data_ptr(), value.shape] == name}


def _with_second_names(network: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state with every further name of a tensor that the network shares; what is missing stays missing."""
    full = dict(state)
    known = {value.data_ptr(): name for name, value in network.state_dict().items() if name in state}
    for name, value in network.state_dict().items():
        if name not in full and value.data_ptr() in known:
            full[name] = full[known[value.data_ptr()]]
    return full


def _scoring(document: Mapping[str, Any] | None) -> Scoring | None:
    if document is None:
        return None
    return Scoring(Calibration(**document["calibration"]), OperatingPoint(**document["operating_point"]))


def _refuse_non_finite(name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    for key, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise PackageError(f"package {name}: weight {key} has values that are not finite")


def _write(path: Path, content: bytes) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(content)


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(Path(__file__).with_name("card.schema.json").read_text())
    return schema


def _readme(card: Mapping[str, Any]) -> str:
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
