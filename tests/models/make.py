"""Small packages and volumes of known answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.models.card import SEVERITIES
from irae.models.nets import build_network, dynunet_arguments, parameter_count, resnet_arguments
from irae.models.package import Calibration, Card, Channel, OperatingPoint, Scoring, save_package

CHANNELS = (Channel("ct", -1000.0, 400.0), Channel("ct", -160.0, 240.0))


def volume(shape=(24, 20, 16), spacing=(2.0, 3.0, 5.0), *, value=None, quantity=Quantity.HU, seed=0) -> Volume:
    array = np.random.default_rng(seed).normal(40, 20, shape) if value is None else np.full(shape, float(value))
    return Volume(array=array, geometry=Geometry.axis_aligned(shape, spacing), quantity=quantity)


def organs_card(labels=("liver", "spleen"), **changes) -> Card:
    arguments = dynunet_arguments(in_channels=2, out_channels=len(labels) + 1, filters=[8, 8, 8])
    card = Card(
        name="organs", task="organs", network="dynunet", arguments=arguments,
        parameters=parameter_count(build_network("dynunet", arguments)), spacing_mm=8.0, patch=(16, 16, 16),
        channels=CHANNELS, labels=tuple(labels), created_on="2026-01-01", intended_use="test", limitations="test",
    )
    return replace(card, **changes)


def classifier_card(task="hepatitis", **changes) -> Card:
    channels = (Channel("ct", -200.0, 250.0), Channel("pet", 0.0, 5.0), Channel("pet_present", 0.0, 1.0),
                Channel("organ", 0.0, 1.0))
    arguments = resnet_arguments(in_channels=4, filters=[4, 4, 8, 8])
    card = Card(
        name=task, task=task, network="resnet", arguments=arguments,
        parameters=parameter_count(build_network("resnet", arguments)), spacing_mm=10.0, patch=(24, 24, 24),
        channels=channels, labels=(task,), created_on="2026-01-01", intended_use="test", limitations="test",
        scoring=Scoring(Calibration(1.0, 0.0), OperatingPoint(0.5, 0.9, 0.95)),
        scoring_without_pet=Scoring(Calibration(0.5, -1.0), OperatingPoint(0.3, 0.8, 0.95)),
    )
    return replace(card, **changes)


def save(folder: Path, card: Card, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    return save_package(folder, card, build_network(card.network, card.arguments).state_dict())


def comparing_card(*, threshold: float = 0.5, **changes) -> Card:
    """A classifier that also reads the baseline and gives a severity."""
    plain = classifier_card()
    channels = (*plain.channels, Channel("baseline_ct", -200.0, 250.0), Channel("baseline_pet", 0.0, 5.0),
                Channel("baseline_present", 0.0, 1.0))
    arguments = resnet_arguments(in_channels=len(channels), filters=[4, 4, 8, 8], outputs=4)
    fields = {
        "channels": channels, "arguments": arguments, "labels": (plain.task, *SEVERITIES),
        "parameters": parameter_count(build_network("resnet", arguments)),
        "scoring": Scoring(Calibration(1.0, 0.0), OperatingPoint(threshold, 0.9, 0.95)),
        "scoring_with_baseline": Scoring(Calibration(2.0, 0.1), OperatingPoint(0.4, 0.9, 0.95)),
        "scoring_with_baseline_without_pet": Scoring(Calibration(0.7, 0.0), OperatingPoint(0.35, 0.9, 0.95)),
    }
    return replace(plain, **(fields | changes))
