"""``packaged``: our own networks, from packages; runs anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Quantity, Volume
from irae.models.air import lungs_from_air
from irae.models.card import FINE_TASK
from irae.models.closer import CLOSER_LOOKS, CloserLook
from irae.models.guided import guided_labels
from irae.models.package import Package, PackageError, find_packages, load_package
from irae.models.plausibility import PLAUSIBILITY, Plausibility, believed, cleaned
from irae.models.runtime import Device, Precision, autocast_dtype, torch_device
from irae.models.sliding import (
    OVERLAP,
    OVERLAP_AFTER_COARSE,
    class_probabilities,
    labels_on_grid,
    mean_probability,
)
from irae.models.tensors import Canonical, body_box, finer, mr_normalised, network_grid, resample, scaled
from irae.quant.resample import onto_grid

LUNGS = ("lung_left", "lung_right")
# Grid on which air is looked for.
AIR_MM = 4.0
ORGANS_TASK, PITUITARY_TASK = "organs", "pituitary"
TASKS = (ORGANS_TASK, FINE_TASK, *CLOSER_LOOKS, PITUITARY_TASK)


class PackagedSegmenter:
    """Organs of a CT and the pituitary of an MR, by packages of the tasks in ``TASKS``.

    ``organs`` finds them on a coarse grid; ``organs_fine`` gets what it found beside the CT and answers on a finer grid
    (a cascade as in Isensee, Nat Methods 2021). Those of ``closer.CLOSER_LOOKS`` (``thyroid``, ``adrenals``) look
    closer, where their place was found; a gland of theirs replaces the coarse one.

    Raises:
        PackageError: If there is no package of any of these tasks, weights do not fit their card, or ``organs_fine``
            needs organs that ``organs`` does not find.
    """

    name = "packaged"

    def __init__(
        self,
        packages: Mapping[str, Package],
        *,
        device: Device = Device.AUTO,
        precision: Precision = Precision.AUTO,
        rules: Plausibility = PLAUSIBILITY,
    ) -> None:
        self._packages = {task: packages[task] for task in TASKS if task in packages}
        if not self._packages:
            raise PackageError(f"segmenter packaged: no package of task organs; there are {sorted(packages)}")
        if FINE_TASK in self._packages:
            _refuse_other_organs(self._packages)
        self._device = torch_device(device)
        self._dtype = autocast_dtype(self._device, precision)
        self._rules = rules
        self._networks = {task: package.network(self._device) for task, package in self._packages.items()}

    @classmethod
    def from_folder(
        cls, folder: Path, *, device: Device = Device.AUTO, precision: Precision = Precision.AUTO
    ) -> PackagedSegmenter:
        """The segmenter of the packages in a folder (packages of other tasks are left alone)."""
        packages = {package.card.task: package for package in map(load_package, find_packages(folder))}
        return cls(packages, device=device, precision=precision)

    @property
    def digests(self) -> Mapping[str, str]:
        """Model name to package digest."""
        return {package.card.name: package.digest for package in self._packages.values()}

    def for_exam(self, patient: str, acquired_on: date) -> PackagedSegmenter:
        """The same for every exam."""
        return self

    def segment_ct(self, ct: Volume) -> LabelMap:
        """Organs of a CT in HU, on its own grid; no organ where there is no such package."""
        if ct.quantity is not Quantity.HU:
            raise ValueError(f"segment_ct needs HU, got {ct.quantity.value}")
        if ORGANS_TASK not in self._packages:
            return believed(np.zeros(ct.geometry.shape, np.uint8), ct, (), clean=False)
        organs = self._packages[ORGANS_TASK].card.labels
        raw, probability = self._organs(ct)
        looks = [look for task, look in CLOSER_LOOKS.items() if task in self._packages]
        again = [look for look in looks if set(look.organs) <= set(organs)]
        for look in again:
            raw, probability = self._looked_again(look, raw, probability, ct)
        found = self._believed(raw, probability, ct)
        for look in looks:
            if look not in again:
                found = self._looked_further(look, found, ct)
        return found

    def _believed(self, raw: NDArray[np.uint8], probability: Mapping[str, float], ct: Volume) -> LabelMap:
        """What can be believed of the organs of ``organs``; lungs that it does not find are looked for as air."""
        organs = self._packages[ORGANS_TASK].card.labels
        found = believed(raw, ct, organs, clean=True, probability=probability, rules=self._rules)
        missing = [lung for lung in LUNGS if lung in organs and not found.seen(lung)]
        if not missing:
            return found
        # The network's lung is not there or not believed: the air inside the body is asked.
        labels, from_air = _with_lungs_from_air(raw, ct, missing)
        probability = {organ: value for organ, value in probability.items() if organ not in from_air}
        return believed(labels, ct, organs, clean=True, probability=probability, rules=self._rules)

    def segment_mr(self, mr: Volume) -> LabelMap:
        """The pituitary of a T1c head MR, on its own grid; coverage NONE where there is no such package."""
        if mr.quantity is not Quantity.MR_SIGNAL:
            raise ValueError(f"segment_mr needs an MR signal, got {mr.quantity.value}")
        if PITUITARY_TASK not in self._packages:
            return believed(np.zeros(mr.geometry.shape, np.uint8), mr, ("pituitary",), clean=False)
        canonical = Canonical.of(mr.geometry)
        found = self._probabilities(
            PITUITARY_TASK, canonical.apply(mr_normalised(mr).array), canonical.geometry, mr.quantity
        )
        labels, probability = self._named(PITUITARY_TASK, labels_on_grid(found, canonical.geometry.shape), found)
        organs = self._packages[PITUITARY_TASK].card.labels
        undone = np.ascontiguousarray(canonical.undo(labels))
        return believed(undone, mr, organs, clean=True, probability=probability, rules=self._rules)

    def coarse_organs(self, ct: Volume) -> NDArray[np.float32]:
        """(organs, I, J, K): each organ's probability by the package ``organs``, on its own canonical grid."""
        canonical = Canonical.of(ct.geometry)
        found = self._probabilities(ORGANS_TASK, canonical.apply(ct.array), canonical.geometry, ct.quantity)
        array: NDArray[np.float32] = found[1:].numpy()
        return array

    def _organs(self, ct: Volume) -> tuple[NDArray[np.uint8], dict[str, float]]:
        """Raw organ labels (values of ``core.anatomy``) on the CT's own grid, and each mask's mean probability."""
        canonical = Canonical.of(ct.geometry)
        source, task = canonical.apply(ct.array), ORGANS_TASK
        found = self._probabilities(task, source, canonical.geometry, ct.quantity)
        if FINE_TASK in self._packages:
            coarse = dict(zip(self._packages[task].card.labels, found[1:], strict=True))
            task = FINE_TASK
            found = self._probabilities(task, source, canonical.geometry, ct.quantity, coarse)
        card = self._packages[task].card
        numbers = guided_labels(
            found, source, canonical.geometry.spacing_mm, network_mm=card.spacing_mm, channel=card.channels[0]
        )
        labels, probability = self._named(task, numbers, found)
        return np.ascontiguousarray(canonical.undo(labels)), probability

    def _looked_again(
        self, look: CloserLook, raw: NDArray[np.uint8], probability: dict[str, float], ct: Volume
    ) -> tuple[NDArray[np.uint8], dict[str, float]]:
        """The labels with a finer network's organs instead of coarse ones; unchanged where their place is not seen.

        Other organs stay as they were found.
        """
        closer, sure = self._closer(look, raw, ct)
        if closer is None:
            return raw, probability
        labels = raw.copy()
        labels[np.isin(labels, [BY_NAME[organ].label for organ in look.organs])] = 0
        return np.where(labels == 0, closer, labels), probability | sure

    def _looked_further(self, look: CloserLook, found: LabelMap, ct: Volume) -> LabelMap:
        """What was found, and the organs that no coarser network finds.

        A coarse mask runs over what it does not know (the liver over an adrenal): those organs lie on top where they
        are believed, and only there, unless they yield. What is believed of the others does not depend on them.
        """
        closer, sure = self._closer(look, found.array, ct)
        if closer is None:
            closer = np.zeros_like(found.array)
        if look.yields:
            laid, judged = np.where(found.array == 0, closer, np.uint8(0)), look.organs
        else:  # held against where the others lie
            laid, judged = np.where(closer > 0, closer, found.array), (*found.labels, *look.organs)
        # What yields lies in many parts, between the others; which of them are loose was told where it was whole.
        believable = believed(laid, ct, judged, clean=not look.yields, probability=sure, rules=self._rules)
        new = {organ: BY_NAME[organ].label for organ in look.organs}
        drawn = np.zeros(256, bool)
        drawn[list(new.values())] = True
        return LabelMap(
            array=np.where(drawn[believable.array], believable.array, found.array), geometry=found.geometry,
            labels={**found.labels, **new},
            coverage={**found.coverage, **{organ: believable.coverage[organ] for organ in new}},
            rejected={**found.rejected, **{o: why for o, why in believable.rejected.items() if o in new}},
        )

    def _closer(
        self, look: CloserLook, labels: NDArray[np.uint8], ct: Volume
    ) -> tuple[NDArray[np.uint8] | None, dict[str, float]]:
        """A finer network's organs on the CT's own grid, and each mask's mean probability; None out of the picture."""
        canonical = Canonical.of(ct.geometry)
        box = look.box(canonical.apply(labels), canonical.geometry)
        if box is None:
            return None, {}
        geometry = canonical.geometry.cropped(
            (box[0].start, box[1].start, box[2].start), (box[0].stop, box[1].stop, box[2].stop)
        )
        source = canonical.apply(ct.array)[box]
        closer = self._probabilities(look.task, source, geometry, ct.quantity)
        if look.yields:
            closer = self._main_parts(look, closer)
        found, sure = self._named(look.task, labels_on_grid(closer, source.shape), closer)
        whole = np.zeros(canonical.geometry.shape, np.uint8)
        whole[box] = found
        return np.ascontiguousarray(canonical.undo(whole)), sure

    def _main_parts(self, look: CloserLook, probabilities: torch.Tensor) -> torch.Tensor:
        """The probabilities of what yields without its loose parts (the table's padding), told on its coarse grid."""
        labels = probabilities.argmax(dim=0).numpy().astype(np.uint8)
        numbers = {organ: n for n, organ in enumerate(self._packages[look.task].card.labels, start=1)}
        kept, _ = cleaned(labels, numbers, self._rules)
        loose = torch.from_numpy((labels > 0) & (kept == 0))
        background = torch.zeros_like(probabilities)
        background[0] = 1.0
        return torch.where(loose, background, probabilities)

    def _probabilities(
        self, task: str, source: NDArray[np.float32], geometry: Geometry, quantity: Quantity,
        coarse: Mapping[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """(classes, I, J, K) on the network's grid, from an array with canonical axes; outside the body is background.

        coarse: (I, J, K) probability of each organ that a coarser network found over the same box.
        """
        card = self._packages[task].card
        image = resample(source, network_grid(geometry, card.spacing_mm).shape)
        box = body_box(image) if quantity is Quantity.HU else (slice(None),) * 3
        channels = []
        for channel in card.channels:
            values = image
            if channel.found is not None and coarse is not None:
                values = finer(coarse[channel.found][None], image.shape)[0]
            channels.append(scaled(values[box], channel))
        found = class_probabilities(
            self._networks[task], torch.stack(channels), card.patch, dtype=self._dtype,
            overlap=OVERLAP if coarse is None else OVERLAP_AFTER_COARSE,
        )
        probabilities = torch.zeros((found.shape[0], *image.shape))
        probabilities[0] = 1.0
        probabilities[(slice(None), *box)] = found
        return probabilities

    def _named(
        self, task: str, numbers: NDArray[np.uint8], probabilities: torch.Tensor
    ) -> tuple[NDArray[np.uint8], dict[str, float]]:
        """Class numbers of a package as organ labels, and each mask's mean probability."""
        labels = self._packages[task].card.labels
        values = np.array([0, *(BY_NAME[organ].label for organ in labels)], dtype=np.uint8)
        return values[numbers], dict(zip(labels, mean_probability(probabilities)[1:], strict=True))


def _refuse_other_organs(packages: Mapping[str, Package]) -> None:
    """Refuses a finer network of organs without the coarser one that finds the same."""
    if ORGANS_TASK not in packages:
        raise PackageError(f"package {packages[FINE_TASK].card.name}: needs a package of task {ORGANS_TASK} beside it")
    coarse, fine = packages[ORGANS_TASK].card, packages[FINE_TASK].card
    needed = {channel.found for channel in fine.channels if channel.found is not None} | set(fine.labels)
    if needed != set(coarse.labels):
        raise PackageError(
            f"package {fine.name}: works with the organs {sorted(needed)}, and {coarse.name} finds "
            f"{sorted(coarse.labels)}"
        )


def _with_lungs_from_air(
    raw: NDArray[np.uint8], ct: Volume, missing: Sequence[str]
) -> tuple[NDArray[np.uint8], list[str]]:
    """The labels with missing lungs replaced by what ``air.lungs_from_air`` finds of them, and which those are.

    Air wins over what the network made of it: it is no other organ, and gas in the bowel is not among it.
    """
    canonical = Canonical.of(ct.geometry)
    grid = network_grid(canonical.geometry, AIR_MM)
    air = lungs_from_air(resample(canonical.apply(ct.array), grid.shape).numpy(), AIR_MM)
    fine = np.ascontiguousarray(canonical.undo(onto_grid(air, grid, canonical.geometry, order=0)))
    labels, replaced = raw.copy(), []
    for lung in missing:
        value = BY_NAME[lung].label
        if not (fine == value).any():
            continue  # nothing better: the network's answer and the reason against it stay
        replaced.append(lung)
        labels[labels == value] = 0
        labels[fine == value] = value
    return labels, replaced
