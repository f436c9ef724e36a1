"""Where a place in an earlier exam lies now: registration of the two CTs (or PETs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irae.core.exam import Exam
from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.volume import Quantity, Volume
from irae.quant.resample import OUTSIDE, onto_grid

Points = NDArray[np.float64]

# The grid on which bodies are registered: fine enough for a lesion's gate, coarse enough for seconds.
SPACING_MM = 7.0
CONTROL_POINTS_MM = 90.0
INVERSE_STEPS = 8
SAMPLES = 20000  # voxels on which two images are compared
LPS = np.array([-1.0, -1.0, 1.0])  # SimpleITK's world; an involution


@dataclass(frozen=True, eq=False, slots=True)
class Mapping:
    """Maps points of an earlier exam to this one, RAS+ mm (n, 3); ``notice`` where it is less than a registration."""

    to_now: Callable[[Points], Points]
    notice: Notice | None = None

    def to_then(self, points: Points) -> Points:
        """Where places of this exam lay in the earlier one: the inverse, to a tenth of a millimetre where it is smooth.

        Each step moves by what the mapping still misses; bends are gentle (90 mm between control points), so that this
        converges in a few.
        """
        then = points - (self.to_now(points) - points)
        for _ in range(INVERSE_STEPS):
            then = then - (self.to_now(then) - points)
        return then


def register(earlier: Exam, now: Exam) -> Mapping:
    """Finds where places of an earlier exam lie now.

    CT to CT where both have one (bone and soft tissue, -300..300 HU), else PET to PET. Rigid (body centres aligned
    first), then affine, then a coarse B-spline; each step is kept only if it makes the images more alike. Runs in one
    thread with fixed sampling, so that the same exams give the same answer.

    Returns:
        The mapping. Where no registration was possible it is the identity (same frame of reference) or the shift of
        the body's centre, with a notice.
    """
    pair = (earlier.ct, now.ct) if earlier.ct is not None and now.ct is not None else (earlier.pet, now.pet)
    if pair[0] is None or pair[1] is None:
        return Mapping(lambda points: points, Notice(
            "not_registered", f"No common image type with the exam of {earlier.acquired_on.isoformat()}: earlier "
            "places are taken as they are."))
    before, after = _prepared(pair[0]), _prepared(pair[1])
    if before[0].shape == after[0].shape and before[1].same_grid(after[1]) and np.array_equal(before[0], after[0]):
        return Mapping(lambda points: points)
    try:
        return Mapping(_registered(before, after))
    except RuntimeError as error:  # SimpleITK: no overlap, no gradient ...
        reason = str(error).strip().splitlines()[-1][:120]
        shift = _body_centre(*after) - _body_centre(*before)
        return Mapping(lambda points: points + shift, Notice(
            "not_registered", f"The exam of {earlier.acquired_on.isoformat()} could not be registered ({reason}): "
            "earlier places are moved with the body's centre, only."))


def _prepared(volume: Volume) -> tuple[NDArray[np.float32], Geometry]:
    """A coarse image with the contrast that registration needs, 0..1."""
    grid = volume.geometry.with_spacing((SPACING_MM, SPACING_MM, SPACING_MM))
    step = [max(1, int(SPACING_MM / 2.5 / s)) for s in volume.geometry.spacing_mm]
    thinned = volume.array[:: step[0], :: step[1], :: step[2]]
    affine = volume.geometry.affine.copy()
    affine[:3, :3] = affine[:3, :3] * step
    coarse = Geometry(shape=thinned.shape, affine=affine)
    values = onto_grid(np.asarray(thinned), coarse, grid, order=1, outside=OUTSIDE[volume.quantity])
    low, high = (-300.0, 300.0) if volume.quantity is Quantity.HU else (0.0, 5.0)
    scaled: NDArray[np.float32] = ((np.clip(values, low, high) - low) / (high - low)).astype(np.float32)
    return scaled, grid


def _body_centre(array: NDArray[np.float32], grid: Geometry) -> Points:
    places = np.argwhere(array > 0.3)
    centre = places.mean(axis=0) if len(places) else (np.array(grid.shape) - 1) / 2.0
    return grid.to_world(centre)


def _registered(
    before: tuple[NDArray[np.float32], Geometry], after: tuple[NDArray[np.float32], Geometry]
) -> Callable[[Points], Points]:
    import SimpleITK as sitk  # noqa: N813 - its usual name; imported here because it takes half a second

    # SimpleITK's transforms map fixed points to moving points: with the earlier exam fixed, the one that is optimised
    # is the one that is asked for.
    fixed, moving = _image(*before), _image(*after)
    starts = _starts(before, after)
    score, shift = min((_likeness(fixed, moving, sitk.TranslationTransform(3, list(s))), s) for s in starts)
    kept: list[sitk.Transform] = [sitk.TranslationTransform(3, list(shift))]
    size_mm = np.array(fixed.GetSize()) * np.array(fixed.GetSpacing())
    mesh = [int(max(2, round(s / CONTROL_POINTS_MM))) for s in size_mm]
    centre = (_body_centre(*before) * LPS).tolist()
    rigid, affine = sitk.Euler3DTransform(), sitk.AffineTransform(3)
    rigid.SetCenter(centre)
    affine.SetCenter(centre)
    # Each step is applied before those already kept and corrects what they left.
    for step in (rigid, affine, sitk.BSplineTransformInitializer(fixed, mesh, order=3)):
        bends = step is not rigid and step is not affine
        first = sitk.CompositeTransform(kept)
        _optimise(fixed, moving, step, first, bends=bends)
        whole = sitk.CompositeTransform([*kept, step])
        reached = _likeness(fixed, moving, whole)
        if reached < score:
            kept, score = [*kept, step], reached
    final = sitk.CompositeTransform(kept)

    def to_now(points: Points) -> Points:
        mapped = [final.TransformPoint((p * LPS).tolist()) for p in np.atleast_2d(points)]
        places: Points = np.asarray(mapped, dtype=np.float64).reshape(-1, 3) * LPS
        return places

    return to_now


def _starts(
    before: tuple[NDArray[np.float32], Geometry], after: tuple[NDArray[np.float32], Geometry]
) -> list[tuple[float, float, float]]:
    """Shifts (LPS mm) to start from: none, and body centres aligned, at the middle, top and bottom of the scans."""
    centre = _body_centre(*after) - _body_centre(*before)
    ends = [np.array([c.corners_mm()[:, 2].min(), c.corners_mm()[:, 2].max()]) for c in (before[1], after[1])]
    heights = (centre[2], *(ends[1] - ends[0]))
    starts = [np.zeros(3), np.array([centre[0], centre[1], 0.0])]
    starts += [np.array([centre[0], centre[1], height]) for height in heights]
    shifts = []
    for start in starts:
        x, y, z = (float(c) for c in start * LPS)
        shifts.append((x, y, z))
    return shifts


def _image(array: NDArray[np.float32], grid: Geometry):  # type: ignore[no-untyped-def]  # SimpleITK has no types
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    spacing = np.array(grid.spacing_mm)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((grid.affine[:3, 3] * LPS).tolist())
    direction = (grid.affine[:3, :3] / spacing) * LPS[:, None]
    image.SetDirection(direction.flatten().tolist())
    return image


def _method(fixed):  # type: ignore[no-untyped-def]
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    voxels = int(np.prod(fixed.GetSize()))
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / voxels), seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _likeness(fixed, moving, transform) -> float:  # type: ignore[no-untyped-def]
    """Negative correlation: smaller is more alike; 0 where the images do not overlap."""
    method = _method(fixed)
    method.SetInitialTransform(transform)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return 0.0


def _optimise(fixed, moving, step, first, *, bends: bool) -> None:  # type: ignore[no-untyped-def]
    """Optimises a transform in place, as the one applied before ``first``."""
    method = _method(fixed)
    method.SetMovingInitialTransform(first)
    if bends:
        method.SetOptimizerAsLBFGSB(
            gradientConvergenceTolerance=1e-4, numberOfIterations=8, maximumNumberOfFunctionEvaluations=12
        )
    else:
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=3.0, minStep=0.05, numberOfIterations=40, relaxationFactor=0.5
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel([2, 1])
        method.SetSmoothingSigmasPerLevel([1.0, 0.0])
    method.SetInitialTransform(step, inPlace=True)
    method.Execute(fixed, moving)
