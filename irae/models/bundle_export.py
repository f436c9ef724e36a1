"""A package as a folder in MONAI's bundle format, for programs that read those; ``segmenter=monai_bundle`` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from irae.io.atomic import write_text, written_aside
from irae.models.nets import NETWORKS, check_plain
from irae.models.package import Package, PackageError
from irae.models.segmenters.monai_bundle import IMAGE


def export_bundle(package: Package, folder: Path) -> Path:
    """Writes configs/metadata.json, configs/inference.json and models/model.safetensors.

    Raises:
        PackageError: If the package is a classifier, or reads an MR, whose normalisation is no transform of MONAI; if
            its weights or arguments are refused, a text of its card would be run by what reads the bundle, or a link
            in the folder leads out of it. Nothing is written then.
    """
    card = package.card
    if card.is_classifier or any(channel.source != "ct" for channel in card.channels):
        raise PackageError(f"package {card.name}: only networks that find organs on CT can be exported as a bundle")
    keys = [IMAGE, *(f"{IMAGE}_{number}" for number in range(2, len(card.channels) + 1))]
    spacing = [card.spacing_mm] * 3
    transforms: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": IMAGE}, {"_target_": "EnsureChannelFirstd", "keys": IMAGE},
        {"_target_": "Orientationd", "keys": IMAGE, "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": IMAGE, "pixdim": spacing, "mode": "bilinear"},
    ]
    if len(keys) > 1:
        transforms.append({"_target_": "CopyItemsd", "keys": IMAGE, "times": len(keys) - 1, "names": keys[1:]})
    transforms += [
        {"_target_": "ScaleIntensityRanged", "keys": key, "a_min": channel.low, "a_max": channel.high, "b_min": 0.0,
         "b_max": 1.0, "clip": True}
        for key, channel in zip(keys, card.channels, strict=True)
    ]
    if len(keys) > 1:
        transforms.append({"_target_": "ConcatItemsd", "keys": keys, "name": IMAGE})
    inference = {
        # The class last: no argument can take its place. A reference, not an expression: nothing is evaluated.
        "network_def": {**card.arguments, "_target_": NETWORKS[card.network].monai_class},
        "network": "@network_def",
        "preprocessing": {"_target_": "Compose", "transforms": transforms},
        "inferer": {
            "_target_": "SlidingWindowInferer", "roi_size": list(card.patch), "sw_batch_size": 1, "overlap": 0.5,
            "mode": "gaussian",
        },
    }
    metadata = {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
                  "meta_schema_20240725.json",
        "version": "0.1.0", "name": card.name, "task": card.intended_use, "description": card.limitations,
        "intended_use": card.intended_use, "copyright": card.licence, "data_source": json.dumps(dict(card.data)),
        "changelog": {"0.1.0": f"exported from the package {package.digest}"},
        "network_data_format": {
            "inputs": {IMAGE: {
                "type": "image", "format": "hounsfield", "modality": "CT", "num_channels": len(keys),
                "spatial_shape": list(card.patch), "dtype": "float32", "value_range": [0, 1],
            }},
            "outputs": {"pred": {
                "type": "image", "format": "segmentation", "num_channels": len(card.labels) + 1,
                "spatial_shape": list(card.patch), "dtype": "float32",
                "channel_def": {"0": "background"} | {str(n): name for n, name in enumerate(card.labels, start=1)},
            }},
        },
    }
    # Built first: that checks the arguments, which other programs will take from the configuration.
    network = package.network(torch.device("cpu"))
    try:
        check_plain(f"package {card.name}: its card", metadata)
        # A card read from a file has numbers here; one made in code may hold anything.
        numbers = [spacing, card.patch, [(channel.low, channel.high) for channel in card.channels]]
        check_plain(f"package {card.name}: its input", numbers)
    except ValueError as error:
        raise PackageError(str(error)) from error
    _refuse_links(folder)
    for name, document in (("inference", inference), ("metadata", metadata)):
        write_text(folder / "configs" / f"{name}.json", json.dumps(document, indent=1) + "\n")
    # safetensors holds no tensor twice; a network that shares a block under two names gets two copies.
    state = {name: value.clone().contiguous() for name, value in network.state_dict().items()}
    with written_aside(folder / "models" / "model.safetensors") as aside:
        save_file(state, aside)
    return folder


def _refuse_links(folder: Path) -> None:
    """Refuses a folder in which a link would take what is written somewhere else.

    Raises:
        PackageError: Naming the link.
    """
    for part in (folder / "configs", folder / "models"):
        if part.is_symlink():
            raise PackageError(f"{part} is a link; a bundle is written into its own folder only")
