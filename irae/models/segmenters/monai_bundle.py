"""``monai_bundle``: a folder in MONAI's bundle format that the user has. Nothing in it is executed.

A bundle's configuration is a program (``_target_`` names any Python class, ``$`` any expression), and its usual
weights are a pickle. Here the configuration is read as data: the network must be a row of our closed table, the
preprocessing a known step with plain arguments, the weights safetensors or what torch loads with ``weights_only``.
What cannot be read that way is refused with a reason.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from irae.core.anatomy import BY_NAME
from irae.core.volume import LabelMap, Quantity, Volume
from irae.models.nets import NETWORKS, build_network
from irae.models.package import PackageError
from irae.models.plausibility import believed
from irae.models.runtime import Device, Precision, autocast_dtype, torch_device
from irae.models.segmenters.names import organ_values
from irae.models.sliding import class_probabilities, labels_on_grid
from irae.models.tensors import Canonical, resample

Step = Callable[[torch.Tensor], torch.Tensor]
_CLASS_TO_NAME = {kind.monai_class.lower(): name for name, kind in NETWORKS.items()}
# Steps of a bundle's preprocessing that our own reading already does, or that do not change values.
_DONE_ANYWAY = {
    "loadimaged", "ensurechannelfirstd", "ensuretyped", "casttotyped", "totensord", "addchanneld", "orientationd",
    "spacingd", "cropforegroundd",
}
_MAX_REFERENCES = 20
# The key under which MONAI's bundles load their image.
IMAGE = "image"


@dataclass(frozen=True, eq=False, slots=True)
class BundlePlan:
    """What was read from a bundle's configuration: all that is needed to run it."""

    name: str
    network: str
    arguments: Mapping[str, Any]
    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    channels: tuple[tuple[Step, ...], ...]
    classes: Mapping[int, str]
    on_mr: bool


class MonaiBundleSegmenter:
    """A MONAI bundle as a segmenter of CT organs (or of the pituitary, where its image is an MR).

    Args:
        folder: ``configs/metadata.json``, ``configs/inference.json`` and ``models/model.safetensors`` or ``model.pt``.
        device, precision: Where and how it computes.

    Raises:
        PackageError: If a file is missing, or the bundle asks for something outside the closed tables.
    """

    name = "monai_bundle"

    def __init__(self, folder: Path, *, device: Device = Device.AUTO, precision: Precision = Precision.AUTO) -> None:
        self._plan = read_bundle(folder)
        weights = _weights_file(folder)
        self._device = torch_device(device)
        self._dtype = autocast_dtype(self._device, precision)
        state = _state(weights)
        try:
            network = build_network(self._plan.network, self._plan.arguments)
            network.load_state_dict(state, strict=True)
        except (ValueError, RuntimeError) as error:
            raise PackageError(f"bundle {folder.name}: {str(error).splitlines()[0]}") from error
        self._network = network.to(self._device).eval()
        digest = hashlib.sha256()
        for part in (folder / "configs" / "metadata.json", folder / "configs" / "inference.json", weights):
            digest.update(hashlib.sha256(part.read_bytes()).digest())
        self._digest = f"sha256:{digest.hexdigest()}"

    @property
    def digests(self) -> Mapping[str, str]:
        """The bundle's name to the digest of its configuration and weights."""
        return {self._plan.name: self._digest}

    def for_exam(self, patient: str, acquired_on: date) -> MonaiBundleSegmenter:
        """The same for every exam."""
        return self

    def segment_ct(self, ct: Volume) -> LabelMap:
        """Organs of a CT in HU, on its own grid; none where the bundle reads MR."""
        if ct.quantity is not Quantity.HU:
            raise ValueError(f"segment_ct needs HU, got {ct.quantity.value}")
        return self._segment(ct, idle=self._plan.on_mr)

    def segment_mr(self, mr: Volume) -> LabelMap:
        """The pituitary of an MR, on its own grid; coverage NONE where the bundle reads CT."""
        if mr.quantity is not Quantity.MR_SIGNAL:
            raise ValueError(f"segment_mr needs an MR signal, got {mr.quantity.value}")
        if self._plan.on_mr:
            return self._segment(mr, idle=False)
        return believed(np.zeros(mr.geometry.shape, np.uint8), mr, ("pituitary",), clean=False)

    def _segment(self, volume: Volume, *, idle: bool) -> LabelMap:
        plan = self._plan
        values = organ_values(plan.classes)
        by_label = {row.label: name for name, row in BY_NAME.items()}
        organs = tuple(sorted({by_label[label] for label in values.values()}))
        if idle:
            return believed(np.zeros(volume.geometry.shape, np.uint8), volume, organs, clean=False)
        canonical = Canonical.of(volume.geometry)
        source = canonical.apply(volume.array)
        image = resample(source, canonical.geometry.with_spacing(plan.spacing_mm).shape)
        channels = torch.stack([_after(steps, image) for steps in plan.channels])
        probabilities = class_probabilities(self._network, channels, plan.patch, dtype=self._dtype)
        table = np.zeros(max(256, probabilities.shape[0]), dtype=np.uint8)
        for value, label in values.items():
            table[value] = label
        # Parts of one organ (lobes, vertebrae) are joined before they compete with the rest.
        labels = table[labels_on_grid(probabilities, source.shape)]
        return believed(np.ascontiguousarray(canonical.undo(labels)), volume, organs, clean=True)


def read_bundle(folder: Path) -> BundlePlan:
    """Reads a bundle's configuration as data.

    Raises:
        PackageError: If something is missing or outside the closed tables.
    """
    metadata, inference = (_json(folder, name) for name in ("metadata.json", "inference.json"))
    where = f"bundle {folder.name}"
    definition = _resolved(inference, inference.get("network_def", inference.get("network")), where)
    if not isinstance(definition, Mapping) or "_target_" not in definition:
        raise PackageError(f"{where}: inference.json has no network_def with a _target_")
    class_name = str(definition["_target_"]).rpartition(".")[2]
    network = _CLASS_TO_NAME.get(class_name.lower())
    if network is None:
        raise PackageError(
            f"{where}: network {definition['_target_']!r} is not in the table; known are "
            f"{', '.join(kind.monai_class for kind in NETWORKS.values())}"
        )
    arguments = {key: value for key, value in definition.items() if key not in {"_target_", "_mode_"}}
    spacing: tuple[float, float, float] | None = None
    # What is done to each copy of the image; CopyItemsd makes copies, ConcatItemsd puts them together as channels.
    copies: dict[str, list[Step]] = {IMAGE: []}
    order: list[str] = [IMAGE]
    for number, transform in enumerate(_preprocessing(inference, where)):
        target = str(transform.get("_target_", "")).rpartition(".")[2].lower()
        if target == "spacingd":
            pixdim = transform.get("pixdim")
            if not isinstance(pixdim, list) or len(pixdim) != 3:
                raise PackageError(f"{where}: Spacingd.pixdim must be three numbers, got {pixdim}")
            spacing = (float(pixdim[0]), float(pixdim[1]), float(pixdim[2]))
        elif target == "orientationd" and transform.get("axcodes", "RAS") != "RAS":
            raise PackageError(f"{where}: Orientationd axcodes {transform['axcodes']!r}; only RAS is supported")
        elif target == "copyitemsd":
            copies |= {str(name): list(copies[_keys(transform, copies, where)[0]]) for name in transform["names"]}
        elif target == "concatitemsd":
            order = _keys(transform, copies, where)
        elif target in _STEPS:
            for key in _keys(transform, copies, where):
                copies[key].append(_STEPS[target](transform, where))
        elif target not in _DONE_ANYWAY:
            raise PackageError(f"{where}: preprocessing step {number} {target!r} is not supported")
    if spacing is None:
        raise PackageError(f"{where}: preprocessing has no Spacingd, so the network's grid is unknown")
    roi = _resolved(inference, _resolved(inference, inference.get("inferer", {}), where).get("roi_size"), where)
    if not isinstance(roi, list) or len(roi) != 3 or not all(isinstance(n, int) and 8 <= n <= 512 for n in roi):
        raise PackageError(f"{where}: inferer.roi_size must be three whole numbers from 8 to 512, got {roi}")
    outputs = metadata.get("network_data_format", {}).get("outputs", {}).get("pred", {})
    inputs = metadata.get("network_data_format", {}).get("inputs", {}).get("image", {})
    channels = outputs.get("channel_def")
    if not isinstance(channels, Mapping):
        raise PackageError(f"{where}: metadata.json does not say what the output channels are (channel_def)")
    classes = {int(value): str(name) for value, name in channels.items() if int(value) > 0}
    if not organ_values(classes):
        raise PackageError(f"{where}: none of its classes is an organ of this project: {sorted(classes.values())[:8]}")
    return BundlePlan(
        name=str(metadata.get("name", folder.name)), network=network, arguments=arguments, spacing_mm=spacing,
        patch=(roi[0], roi[1], roi[2]), channels=tuple(tuple(copies[key]) for key in order), classes=classes,
        on_mr="MR" in str(inputs.get("modality", "CT")).upper(),
    )


def _after(steps: Sequence[Step], image: torch.Tensor) -> torch.Tensor:
    for step in steps:
        image = step(image)
    return image


def _keys(transform: Mapping[str, Any], copies: Mapping[str, Any], where: str) -> list[str]:
    """The copies of the image that a transform is for; other keys (labels ...) are left alone.

    As long as there is one image, it may have any key.
    """
    given = transform.get("keys", IMAGE)
    keys = [key for key in ([given] if isinstance(given, str) else given) if key in copies]
    if not keys and len(copies) > 1:
        raise PackageError(f"{where}: {transform.get('_target_')} is for {given}, which no step before it makes")
    return keys or [IMAGE]


def _scale_range(transform: Mapping[str, Any], where: str) -> Step:
    low, high = _number(transform, "a_min", where), _number(transform, "a_max", where)
    to_low, to_high = float(transform.get("b_min", 0.0)), float(transform.get("b_max", 1.0))
    clip = bool(transform.get("clip", False))

    def step(image: torch.Tensor) -> torch.Tensor:
        out = (image - low) / (high - low) * (to_high - to_low) + to_low
        return out.clamp(to_low, to_high) if clip else out

    return step


def _scale(transform: Mapping[str, Any], where: str) -> Step:
    to_low, to_high = float(transform.get("minv", 0.0)), float(transform.get("maxv", 1.0))

    def step(image: torch.Tensor) -> torch.Tensor:
        low, high = image.min(), image.max()
        return (image - low) / (high - low).clamp(min=1e-8) * (to_high - to_low) + to_low

    return step


def _normalise(transform: Mapping[str, Any], where: str) -> Step:
    nonzero = bool(transform.get("nonzero", False))
    if "subtrahend" in transform or "divisor" in transform:
        mean, scale = _number(transform, "subtrahend", where), _number(transform, "divisor", where)
        return lambda image: (image - mean) / scale

    def step(image: torch.Tensor) -> torch.Tensor:
        counted = image != 0 if nonzero else torch.ones_like(image, dtype=torch.bool)
        values = image[counted]
        return torch.where(counted, (image - values.mean()) / values.std(correction=0).clamp(min=1e-8), image)

    return step


_STEPS: dict[str, Callable[[Mapping[str, Any], str], Step]] = {
    "scaleintensityranged": _scale_range, "scaleintensityd": _scale, "normalizeintensityd": _normalise,
}


def _number(transform: Mapping[str, Any], key: str, where: str) -> float:
    value = transform.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PackageError(f"{where}: {transform.get('_target_')}.{key} must be a number, got {value!r}")
    return float(value)


def _preprocessing(inference: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    preprocessing = _resolved(inference, inference.get("preprocessing", {}), where)
    transforms = preprocessing.get("transforms") if isinstance(preprocessing, Mapping) else None
    transforms = _resolved(inference, transforms, where)
    if not isinstance(transforms, list):
        raise PackageError(f"{where}: inference.json has no preprocessing with a list of transforms")
    steps = []
    for transform in (_resolved(inference, item, where) for item in transforms):
        if not isinstance(transform, Mapping):
            raise PackageError(f"{where}: a preprocessing step is not a mapping: {transform!r}")
        steps.append({
            key: _resolved(inference, value, where) if key not in {"keys", "meta_keys", "_disabled_"} else value
            for key, value in transform.items()
        })
    return [step for step in steps if step.get("_disabled_") is not True]


def _resolved(inference: Mapping[str, Any], value: Any, where: str, depth: int = 0) -> Any:
    """A value whose ``@name`` references to other plain values are followed; expressions are refused."""
    if depth > _MAX_REFERENCES:
        raise PackageError(f"{where}: references go in a circle")
    if isinstance(value, str) and value.startswith("@"):
        at: Any = inference
        for part in value[1:].replace("#", "::").split("::"):
            at = at[int(part)] if isinstance(at, list) and part.isdigit() else at.get(part) if isinstance(
                at, Mapping) else None
        if at is None:
            raise PackageError(f"{where}: {value!r} refers to nothing")
        return _resolved(inference, at, where, depth + 1)
    if isinstance(value, str) and value.startswith(("$", "%")):
        raise PackageError(f"{where}: {value!r} is an expression; a bundle's configuration is read, never executed")
    if isinstance(value, list):
        return [_resolved(inference, item, where, depth + 1) for item in value] if depth < _MAX_REFERENCES else value
    return value


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "configs" / name
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PackageError(f"bundle {folder}: configs/{name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PackageError(f"bundle {folder}: configs/{name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise PackageError(f"bundle {folder}: configs/{name} must be a mapping")
    return document


def _weights_file(folder: Path) -> Path:
    for name in ("model.safetensors", "model.pt"):
        if (folder / "models" / name).is_file():
            return folder / "models" / name
    raise PackageError(f"bundle {folder}: models/model.safetensors or models/model.pt is missing")


def _state(path: Path) -> dict[str, torch.Tensor]:
    """Weights as tensors only: safetensors, or a pickle that torch restricts to tensors (``weights_only``)."""
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise PackageError(
            f"bundle weights {path.name} hold more than tensors or are broken, and are refused: "
            f"{str(error).splitlines()[0]}"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise PackageError(f"bundle weights {path.name} are not a mapping of names to tensors")
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise PackageError(f"bundle weights {path.name}: {key} has values that are not finite")
    return {str(key): value.float() if value.is_floating_point() else value for key, value in state.items()}
