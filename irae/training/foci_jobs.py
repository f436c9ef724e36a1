"""From settings to a registered network that finds lesions on PET/CT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from irae.models.card import FOCI_TASK
from irae.models.foci import PackagedFociNetwork
from irae.models.package import Channel, Metric, load_package
from irae.quant.resample import onto_grid
from irae.training.annotated import foci_in
from irae.training.data import FociSample, Source, foci_case
from irae.training.evaluation import EVEN, NETWORK, FociRow, candidates, hits_and_false
from irae.training.evaluation_summary import foci_summary
from irae.training.jobs import Recipe, Workplace, voxel_job
from irae.training.metrics import dice, mean_with_interval
from irae.training.segmentation import SegmentationCase
from irae.training.settings import FociSettings

# Lesions smaller than a ball of this radius need not be found.
LEAST_RADIUS_MM = 5.0


def foci_job(settings: FociSettings, source: Source, place: Workplace) -> Path:
    """Trains, measures, packages and registers a network that finds lesions. Returns the package's folder.

    Raises:
        ValueError: If the settings cannot work, or no training case shows a lesion.
    """
    return voxel_job(settings, source, place, Recipe(
        name=FOCI_TASK,
        intended_use="Finds focal lesions (metastases, focal inflammation) on FDG PET/CT of adults, without threshold.",
        channels=(*(Channel("ct", low, high) for low, high in settings.windows),
                  *(Channel("pet", low, high) for low, high in settings.suv_windows)),
        cases=lambda numbers: foci_cases(source, numbers, settings),
        measured=lambda folder, numbers: measure_foci(folder, settings, source, numbers, place),
    ))


def foci_cases(source: Source, numbers: Sequence[int], settings: FociSettings) -> Sequence[SegmentationCase]:
    """Cases as the network is shown them."""
    made = source.foci(numbers, spacing_mm=settings.image_spacing_mm) if numbers else ()
    return [foci_case(sample, spacing_mm=settings.spacing_mm) for sample in made]


def measure_foci(
    folder: Path, settings: FociSettings, source: Source, held_out: Sequence[int], place: Workplace
) -> dict[str, Metric]:
    """FROC (sensitivity at so many false foci an exam, lesions of 10 mm and more) and Dice of lesion voxels."""
    network = PackagedFociNetwork(load_package(folder), device=place.device, precision=place.precision)
    rows, overlaps = [], []
    for number, sample in enumerate(source.foci(held_out, spacing_mm=settings.image_spacing_mm)):
        row, overlap = measured(network, sample, key=str(number))
        rows.append(row)
        overlaps += [] if overlap is None else [overlap]
    found = {
        key: Metric(value["value"], value["low"], value["high"], value["n"])
        for key, value in foci_summary(rows).items() if isinstance(value, dict)
    }
    return found | {"dice/lesion": mean_with_interval(overlaps)}


def measured(network: PackagedFociNetwork, sample: FociSample, *, key: str) -> tuple[FociRow, float | None]:
    """The network's candidates against the marked foci of one exam, and Dice at even odds."""
    probability = network.probability(sample.ct, sample.pet)
    grid = probability.geometry
    every = foci_in(sample.marked, sample.ct.geometry)
    true = [focus for focus in every if focus.radius_mm >= LEAST_RADIUS_MM]
    hits, false = hits_and_false(candidates(probability), true, every)
    marked = onto_grid(sample.marked.astype(np.uint8), sample.ct.geometry, grid, order=0) > 0
    overlap = dice(probability.array >= EVEN, marked) if marked.any() else None
    return FociRow(patient=key, exam=key, method=NETWORK, true=len(true), found=hits, false=false), overlap
