"""Do the voxels say what the header says? A header that lies about HU or SUV makes every later number wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irae.core.errors import StudyError
from irae.core.volume import Quantity
from irae.io.archive.pixels import NOISE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plausible:
    """Where values of a person lie. Design values: wide, but a factor of 1000 or an offset of 1000 is outside."""

    padding_below_hu: float = -1100.0  # -2000, -3024 ...: outside the reconstruction circle, says nothing
    tissue_hu: tuple[float, float] = (-160.0, 200.0)  # fat to enhanced vessels
    least_tissue: float = 0.01
    least_dark: float = 0.002  # air, lung or fat somewhere in or around a body
    highest_hu: float = 35000.0
    hu_jump: float = 90.0  # between the means of neighbouring slices, where their rescale differs
    suv_jump: float = 5.0  # times the means of the neighbouring slices, or a part of them
    suv_jump_from: float = 0.5
    suv_top: tuple[float, float] = (0.2, 2000.0)  # the highest voxel
    suv_bulk: tuple[float, float] = (0.02, 30.0)  # mean of the voxels above a tenth of the 99th percentile
    suv_below_zero: float = 0.5  # of the highest voxel: reconstruction undershoots, but not like this
    most_of_the_dose: float = 1.5  # what was injected, found again in the image; calibration and scatter allowed for
    wrapped_below_hu: float = -1500.0
    wrapped_under_hu: float = 1100.0
    padding_values: int = 8  # different ones: padding is one value, or a few where a picture was turned
    picture: float = 0.6  # of roughness: up to here a slice is surely a picture
    emptier: float = 0.25  # of the rows of a slice, against both its neighbours


PLAUSIBLE = Plausible()


def check_hu(
    sample: NDArray[np.float32], span: tuple[float, float], name: str, limits: Plausible = PLAUSIBLE
) -> str:
    """One sentence about what makes the values HU.

    Args:
        sample: Some of the voxels (n,), evenly spaced (``sample_of``).
        span: Lowest and highest of all voxels.
        name: For the message.
        limits: Plausibility limits.

    Raises:
        StudyError: ``hu_implausible``.
    """
    low, high = span
    deep = sample[sample < limits.wrapped_below_hu]
    if high < limits.wrapped_under_hu and len(np.unique(np.rint(deep))) > limits.padding_values:
        raise StudyError(
            "hu_implausible",
            f"{name}: no bone above {high:.0f} HU, but many values down to {low:.0f}: the sign of the pixels is wrong",
        )
    sample = sample[sample >= limits.padding_below_hu]
    if not len(sample):
        raise StudyError("hu_implausible", f"{name}: no value above {limits.padding_below_hu:g}")
    tissue = float(np.mean((sample >= limits.tissue_hu[0]) & (sample <= limits.tissue_hu[1])))
    dark = float(np.mean(sample <= -50.0))
    if high > limits.highest_hu or tissue < limits.least_tissue or dark < limits.least_dark:
        raise StudyError(
            "hu_implausible",
            f"{name}: values from {low:.0f} to {high:.0f}, {100 * tissue:.1f} % like soft tissue, {100 * dark:.1f} % "
            "like fat or air: not Hounsfield units",
        )
    return f"values are HU: {100 * tissue:.0f} % like soft tissue, {100 * dark:.0f} % like fat, lung or air"


def check_suv(
    sample: NDArray[np.float32], span: tuple[float, float], name: str, litres_per_kg: float | None = None,
    limits: Plausible = PLAUSIBLE,
) -> str:
    """One sentence about what makes the values SUV; arguments as of ``check_hu``.

    SUV times volume over weight is the part of the injected dose that the image shows (1 g/mL): never much above 1.

    Args:
        sample, span, name, limits: As of ``check_hu``.
        litres_per_kg: Volume of the whole image for each kg of the patient; None where that is unknown.

    Raises:
        StudyError: ``suv_implausible``.
    """
    top = span[1]
    reference = float(np.percentile(sample, 99))
    warm = sample[sample > 0.1 * reference]
    bulk = float(warm.mean()) if len(warm) else 0.0
    if not limits.suv_top[0] <= top <= limits.suv_top[1] or not limits.suv_bulk[0] <= bulk <= limits.suv_bulk[1]:
        raise StudyError(
            "suv_implausible",
            f"{name}: SUV up to {top:.4g}, {bulk:.4g} on average in the body; a person has about 1",
        )
    if span[0] < -limits.suv_below_zero * top:
        raise StudyError("suv_implausible", f"{name}: SUV from {span[0]:.4g} to {top:.4g}; uptake is not negative")
    dose = float(sample.mean()) * litres_per_kg if litres_per_kg else 0.0
    if dose > limits.most_of_the_dose:
        raise StudyError("suv_implausible", f"{name}: the image shows {dose:.1f} times the activity that was injected")
    return f"SUV plausible: {bulk:.2f} on average in the body, {top:.1f} at most"


def check_slice_scales(
    means: Sequence[float], quantity: Quantity, name: str, limits: Plausible = PLAUSIBLE
) -> None:
    """Refuses a slice that its own rescale or bits lift out of its neighbourhood: the header is wrong.

    Args:
        means: Mean of each slice, in order, of a series whose slices differ in rescale or pixel format.
        quantity: What the values are; MR is not judged.
        name: For the message.
        limits: Plausibility limits.

    Raises:
        StudyError: ``rescale_invalid`` (CT) or ``suv_implausible`` (PET).
    """
    if len(means) < 3:
        return
    for k, mean in enumerate(means):
        beside = [means[n] for n in (k - 2, k - 1, k + 1, k + 2) if 0 <= n < len(means)]
        middle = float(np.median(beside))
        if quantity is Quantity.HU and abs(mean - middle) > limits.hu_jump:
            raise StudyError(
                "rescale_invalid", f"{name}: slice {k + 1} has its own rescale and lies {mean - middle:.0f} HU off"
            )
        high, low = max(beside), min(beside)
        if quantity is Quantity.SUV_BW and (
            mean > max(limits.suv_jump_from, limits.suv_jump * high)
            or (low > limits.suv_jump_from and mean < low / limits.suv_jump)
        ):
            raise StudyError(
                "suv_implausible", f"{name}: slice {k + 1} has {mean / max(high, 1e-9):.2g} times its neighbours"
            )


def check_slices(blank: Sequence[int], count: int, name: str) -> None:
    """Refuses a stack with an empty slice between others: the image was lost, the header was not.

    Args:
        blank: Numbers of the slices whose pixels are all the same, in order.
        count: How many slices there are.
        name: For the message.

    Raises:
        StudyError: ``blank_slice``.
    """
    full = [k for k in range(count) if k not in set(blank)]
    inside = [k for k in blank if full and full[0] < k < full[-1]]
    if inside:
        text = f"{name}: {len(inside)} slices inside it are empty, the first is slice {inside[0] + 1}"
        raise StudyError("blank_slice", text)


def empty_part(stored: NDArray[Any]) -> float:
    """The part of a slice, from its last row upwards, in which all pixels seem to be the same."""
    rows, columns = stored.shape
    some = stored[:: max(1, rows // 64), :: max(1, columns // 32)]
    other = np.flatnonzero((some != stored[-1, -1]).any(axis=1))
    return 1.0 - (int(other[-1]) + 1) / len(some) if len(other) else 1.0


def check_pictures(
    rough: NDArray[np.float64], empty_below: NDArray[np.float64], name: str, limits: Plausible = PLAUSIBLE
) -> None:
    """Refuses a slice that is noise, or breaks off, between slices that are pictures: its pixels were damaged.

    Args:
        rough: ``roughness`` of each slice, in order.
        empty_below: ``empty_part`` of each slice.
        name: For the message.
        limits: Plausibility limits.

    Raises:
        StudyError: ``pixels_broken``.
    """
    before, here, after = rough[:-2], rough[1:-1], rough[2:]
    noise = (here > NOISE) & (np.maximum(before, after) < limits.picture)
    if noise.any():
        raise StudyError("pixels_broken", f"{name}: slice {int(np.argmax(noise)) + 2} is noise between two pictures")
    more = empty_below[1:-1] - np.maximum(empty_below[:-2], empty_below[2:])
    cut = (more > limits.emptier) & (empty_below[1:-1] < 1.0)
    if cut.any():
        raise StudyError("pixels_broken", f"{name}: the lower part of slice {int(np.argmax(cut)) + 2} is empty")


def check_rows(stored: NDArray[Any], name: str) -> None:
    """Refuses a slice that makes a picture only with its rows and columns exchanged.

    Raises:
        StudyError: ``pixels_broken``.
    """
    rows, columns = stored.shape
    if rows == columns or min(rows, columns) < 4:
        return
    values = stored.astype(np.float32)
    as_said = float(np.abs(np.diff(values, axis=0)).mean())
    exchanged = float(np.abs(np.diff(values.reshape(columns, rows), axis=0)).mean())
    if as_said > 2.0 * exchanged:
        raise StudyError("pixels_broken", f"{name}: {rows} rows and {columns} columns seem to be exchanged")


def sample_of(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Up to about a million voxels of an image, evenly spaced, one after the other."""
    return array[tuple(slice(None, None, step) for step in sample_steps(array.shape))].ravel()


def sample_steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Every how many voxels along each axis such a sample takes one."""
    step = max(1, round((math.prod(shape) / 1e6) ** (1 / 3)))
    return tuple(step if size > step else 1 for size in shape)
