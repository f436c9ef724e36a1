"""A model package: a folder with ``model.safetensors``, ``card.json`` and ``MODEL_CARD.md``. Never a pickle.

The card says what the network is, what it takes and gives, how it was made and what it is worth. It records the sha256
of the weights, so the sha256 of the card identifies the whole package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from irae.io.atomic import written_aside
from irae.models.card import (
    CARD_FILE,
    WEIGHTS_FILE,
    Calibration,
    Card,
    Channel,
    Metric,
    OperatingPoint,
    PackageError,
    Scoring,
    readme,
)
from irae.models.nets import build_network

__all__ = [
    "Calibration", "Card", "Channel", "Metric", "OperatingPoint", "Package", "PackageError", "Scoring",
    "find_packages", "load_package", "save_package",
]
README_FILE = "MODEL_CARD.md"


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
    _write(folder / README_FILE, readme(document).encode())
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


def _refuse_non_finite(name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    for key, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise PackageError(f"package {name}: weight {key} has values that are not finite")


def _write(path: Path, content: bytes) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(content)
