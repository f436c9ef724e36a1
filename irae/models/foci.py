"""Where a network sees a lesion on PET/CT, whatever the threshold: the package of the task ``foci``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.models.card import FOCI_TASK
from irae.models.package import Package, PackageError, find_packages, load_package
from irae.models.runtime import Device, Precision, autocast_dtype, torch_device
from irae.models.sliding import class_probabilities
from irae.models.tensors import Canonical, body_box, network_grid, resample, scaled
from irae.quant.resample import OUTSIDE, onto_grid


class PackagedFociNetwork:
    """The probability of a lesion at every place of a PET/CT.

    Raises:
        PackageError: If the package is of another task, or its weights do not fit its card.
    """

    def __init__(
        self, package: Package, *, device: Device = Device.AUTO, precision: Precision = Precision.AUTO
    ) -> None:
        if package.card.task != FOCI_TASK:
            raise PackageError(f"package {package.card.name}: is of the task {package.card.task}, not {FOCI_TASK}")
        self._package = package
        self._device = torch_device(device)
        self._dtype = autocast_dtype(self._device, precision)
        self._network = package.network(self._device)

    @classmethod
    def from_folder(
        cls, folder: Path, *, device: Device = Device.AUTO, precision: Precision = Precision.AUTO
    ) -> PackagedFociNetwork | None:
        """The network of a folder of packages; None where there is none."""
        packages = [p for p in map(load_package, find_packages(folder)) if p.card.task == FOCI_TASK]
        return cls(packages[0], device=device, precision=precision) if packages else None

    @property
    def digests(self) -> Mapping[str, str]:
        """Model name to package digest."""
        return {self._package.card.name: self._package.digest}

    def probability(self, ct: Volume, pet: Volume) -> Volume:
        """Probability of a lesion on the network's grid over the PET's box.

        Args:
            ct: HU. pet: SUVbw of the same exam, in the same frame of reference.
        """
        card = self._package.card
        grid, images = on_network_grid(ct, pet, card.spacing_mm)
        box = body_box(torch.from_numpy(images["ct"]))
        channels = torch.stack([scaled(torch.from_numpy(images[c.source])[box], c) for c in card.channels])
        found = class_probabilities(self._network, channels, card.patch, dtype=self._dtype)[1]
        probability = torch.zeros(grid.shape)
        probability[box] = found
        return Volume(array=probability.numpy(), geometry=grid, quantity=Quantity.PROBABILITY)


def on_network_grid(ct: Volume, pet: Volume, spacing_mm: float) -> tuple[Geometry, dict[str, NDArray[np.float32]]]:
    """CT and PET on one grid with canonical axes over the PET's box; beyond the CT lies air."""
    if (ct.quantity, pet.quantity) != (Quantity.HU, Quantity.SUV_BW):
        raise ValueError(f"needs HU and SUVbw, got {ct.quantity.value} and {pet.quantity.value}")
    canonical = Canonical.of(pet.geometry)
    grid = network_grid(canonical.geometry, spacing_mm)
    return grid, {
        "ct": onto_grid(ct.array, ct.geometry, grid, order=1, outside=OUTSIDE[Quantity.HU]),
        "pet": resample(canonical.apply(pet.array), grid.shape).numpy(),
    }
