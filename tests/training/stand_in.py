"""A source of crude ellipsoid bodies, made in milliseconds: enough to test that training learns and packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from irae.core.anatomy import BY_NAME, Irae
from irae.core.baseline import BaselineImages
from irae.core.exam import Exam, Role
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.models.crops import CropSpec, organ_crops
from irae.training.data import FociSample, LabelledCrops, Sample
from irae.training.provenance import SYNTHETIC
from irae.training.settings import Target

# centre and semi-axes (mm) in a body of 300 x 220 x 400 mm, and HU
ORGANS = {
    "lung_left": ((-75, 0, 90), (55, 75, 90), -820.0),
    "lung_right": ((75, 0, 90), (60, 75, 95), -820.0),
    "liver": ((60, 10, -70), (75, 65, 60), 105.0),
    "spleen": ((-95, -30, -70), (28, 40, 45), 125.0),
}


def ellipsoid(points, centre, axes):
    return (((points - np.array(centre)) / np.array(axes)) ** 2).sum(axis=-1) <= 1.0


def body(seed: int, spacing_mm: float = 8.0, *, hot: bool = False) -> tuple[Exam, LabelMap]:
    """A CT and PET of one body; ``hot``: the liver takes up much FDG."""
    rng = np.random.default_rng(seed)
    shape = tuple(round(length / spacing_mm) for length in (352, 256, 416))
    geometry = Geometry.axis_aligned(shape, (spacing_mm,) * 3, tuple(-(n - 1) / 2 * spacing_mm for n in shape))
    points = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) * spacing_mm
    points = points + geometry.affine[:3, 3]
    ct = np.full(shape, -1000.0)
    ct[ellipsoid(points, (0, 0, 0), (155, 112, 300))] = 40.0
    suv = np.where(ct > -500, 0.7, 0.0)
    labels = np.zeros(shape, np.uint8)
    for name, (centre, axes, hu) in ORGANS.items():
        inside = ellipsoid(points, np.array(centre) + rng.uniform(-12, 12, 3), np.array(axes) * rng.uniform(0.85, 1.1))
        ct[inside] = hu + rng.normal(0, 8)
        labels[inside] = BY_NAME[name].label
        suv[inside] = 0.5 if "lung" in name else 2.0
    if hot:
        suv[labels == BY_NAME["liver"].label] = 4.5
    ct += rng.normal(0, 15, shape)
    suv *= rng.uniform(0.9, 1.1, shape)
    exam = Exam(
        patient=f"S{seed}", acquired_on=date(2026, 1, 1),
        volumes={
            Role.CT: Volume(array=ct, geometry=geometry, quantity=Quantity.HU),
            Role.PET: Volume(array=suv, geometry=geometry, quantity=Quantity.SUV_BW),
        },
    )
    return exam, LabelMap(
        array=labels, geometry=geometry, labels={n: BY_NAME[n].label for n in ORGANS},
        coverage=dict.fromkeys(ORGANS, Coverage.WHOLE),
    )


def baseline(seed: int) -> BaselineImages:
    """An earlier exam of the same kind of body, with nothing hot."""
    exam, truth = body(seed + 500_000)
    return BaselineImages(ct=exam.ct, pet=exam.pet, organs=truth)


def head(seed: int, spacing_mm: float = 2.0) -> Sample:
    """A T1c head whose bright pituitary lies near the middle."""
    rng = np.random.default_rng(seed)
    shape = (64, 64, 64)
    geometry = Geometry.axis_aligned(shape, (spacing_mm,) * 3)
    points = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) * spacing_mm
    signal = np.where(ellipsoid(points, (64, 64, 64), (60, 60, 60)), 300.0, 5.0)
    gland = ellipsoid(points, np.array((64, 70, 40)) + rng.uniform(-4, 4, 3), (8, 7, 6))
    signal[gland] = 700.0
    signal = signal + rng.normal(0, 10, shape)
    label = BY_NAME["pituitary"].label
    truth = LabelMap(
        array=np.where(gland, label, 0), geometry=geometry, labels={"pituitary": label},
        coverage={"pituitary": Coverage.WHOLE},
    )
    return Sample(Volume(array=signal, geometry=geometry, quantity=Quantity.MR_SIGNAL), truth)


def lesions(seed: int, spacing_mm: float = 8.0) -> FociSample:
    """A body with two hot balls that the CT shows too, and a hot liver that is no lesion."""
    exam = body(seed, spacing_mm, hot=True)[0]
    rng = np.random.default_rng(seed)
    geometry = exam.ct.geometry
    points = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1) * spacing_mm
    points = points + geometry.affine[:3, 3]
    marked = np.zeros(geometry.shape, bool)
    for side in (-1, 1):
        marked |= ellipsoid(points, np.array((side * 75, 0, 90)) + rng.uniform(-20, 20, 3), (16, 16, 16))
    ct, suv = np.where(marked, 40.0, exam.ct.array), np.where(marked, 9.0, exam.pet.array)
    return FociSample(
        Volume(array=ct, geometry=geometry, quantity=Quantity.HU),
        Volume(array=suv, geometry=geometry, quantity=Quantity.SUV_BW), marked,
    )


class StandIn:
    """The source itself. Odd seeds of a classification are positive."""

    name = "stand_in"
    digest = "sha256:" + "0" * 64
    provenance = SYNTHETIC

    def segmentation(self, target: Target, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[Sample]:
        for seed in seeds:
            if target is Target.pituitary:
                yield head(seed, spacing_mm)
            else:
                exam, truth = body(seed, spacing_mm)
                yield Sample(exam.ct, truth)

    def foci(self, seeds: Sequence[int], *, spacing_mm: float) -> Iterator[FociSample]:
        for seed in seeds:
            yield lesions(seed, spacing_mm)

    def classification(
        self, specs: Mapping[Irae, CropSpec], seeds: Sequence[int], *, organs_package: Path | None = None,
        found_share: float = 1.0, baseline_share: float = 1.0,
    ) -> Iterator[Mapping[Irae, LabelledCrops]]:
        for seed in seeds:
            exam, truth = body(seed, hot=seed % 2 == 1)
            found = {}
            for irae, spec in specs.items():
                seen = organ_crops(
                    exam, truth, None, irae=irae, patch=spec.patch, spacing_mm=spec.spacing_mm,
                    baseline=baseline(seed) if baseline_share else None,
                )
                if seen is not None:
                    found[irae] = LabelledCrops(seen.crops, positive=seed % 2 == 1, severity=2 * (seed % 2))
            yield found
