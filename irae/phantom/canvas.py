"""A grid of any geometry on which analytic shapes are painted with exact volume fractions.

Shapes live in the patient's own space (RAS directions, mm, z = 0 at the vertex, negative towards the feet). A ``Pose``
says where that space lies in the scanner's world and how it is bent. Every voxel gets the share of a shape that it
holds: a shape's signed distance d (mm, negative inside) and the voxel size h give ``clip(1/2 - d/h, 0, 1)``, the box
average of a flat edge. Thin layers are painted as differences of such shares, so that a 1.5 mm wall keeps its mass on
a 4 mm grid; partial-volume loss then comes from the scanner's blur alone, as it does in a patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irae.core.geometry import Geometry

Slices = tuple[slice, slice, slice]
Field = NDArray[np.float32]


@lru_cache(maxsize=4096)
def rotation(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rotation matrix (3, 3), read-only: turns about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(degrees):
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        turn = np.eye(3)
        j, k = (axis + 1) % 3, (axis + 2) % 3
        turn[j, j], turn[j, k], turn[k, j], turn[k, k] = c, -s, s, c
        matrix = turn @ matrix
    matrix.flags.writeable = False
    return matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the patient's space lies in the world, and how it is bent.

    canonical = R (world - shift - pivot) + pivot + bend(world - shift). Bending shears each axis by smooth waves along
    the other two, so that volumes are kept.

    Attributes:
        shift_mm: Position of the patient's origin in the world.
        tilt_deg: Rotation about x, y, z through the middle of the trunk.
        bend_mm: Six wave amplitudes: x by y, x by z, y by x, y by z, z by x, z by y.
        wavelength_mm, phase: Of the six waves.
    """

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bend_mm: tuple[float, ...] = (0.0,) * 6
    wavelength_mm: tuple[float, ...] = (400.0,) * 6
    phase: tuple[float, ...] = (0.0,) * 6

    _PIVOT = (0.0, 0.0, -550.0)
    _WAVES = ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))

    def rotation(self) -> NDArray[np.float64]:
        """World to canonical rotation matrix (3, 3)."""
        return rotation(self.tilt_deg)

    def bend(self, local: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Displacement along x, y, z for coordinates relative to ``shift_mm``; arrays that broadcast."""
        out: list[Any] = [0.0, 0.0, 0.0]
        for (axis, by), amplitude, wavelength, phase in zip(
            self._WAVES, self.bend_mm, self.wavelength_mm, self.phase, strict=True
        ):
            if amplitude:
                out[axis] = out[axis] + amplitude * np.sin(2 * np.pi / wavelength * local[by] + phase)
        return [np.asarray(o) for o in out]

    def to_canonical(self, world_mm: ArrayLike) -> NDArray[np.float64]:
        """World RAS+ mm (..., 3) to the patient's space (..., 3)."""
        local = np.asarray(world_mm, dtype=np.float64) - self.shift_mm
        bent = self.bend([local[..., 0], local[..., 1], local[..., 2]])
        turned = (local - self._PIVOT) @ self.rotation().T + self._PIVOT
        return turned + np.stack([np.broadcast_to(b, local.shape[:-1]) for b in bent], axis=-1)

    def to_world(self, canonical_mm: ArrayLike, *, steps: int = 6) -> NDArray[np.float64]:
        """The patient's space (..., 3) to world RAS+ mm (..., 3), by fixed-point steps (6: error < 0.001 mm)."""
        target = np.asarray(canonical_mm, dtype=np.float64)
        turn = self.rotation()
        flat = (target - self._PIVOT) @ turn + self._PIVOT  # exact without bends
        world = flat + self.shift_mm
        if any(self.bend_mm):
            for _ in range(steps):
                world = world + (target - self.to_canonical(world)) @ turn
        return world


@dataclass(frozen=True, slots=True)
class Material:
    """What a tissue shows: CT number, true FDG as SUVbw, T1c signal (white matter before contrast = 1)."""

    hu: float
    suv: float
    t1c: float = 0.8
    texture: float = 0.0  # relative modulation of HU (10 HU per unit) and SUV (10 % per unit) by smooth noise


class Canvas:
    """Channels (any of hu, suv, t1c) and organ labels on one grid, painted in order; later paint covers earlier.

    Attributes:
        geometry: The grid.
        x, y, z: Canonical coordinates of every voxel centre, (i, j, k) float32, mm.
        edge_mm: Width of an edge's ramp: the effective voxel size.
        channels: Name to (i, j, k) float32 array.
        labels: (i, j, k) uint8 organ labels.
    """

    def __init__(
        self, geometry: Geometry, pose: Pose, background: Mapping[str, float], *, noise_seed: int, edge_mm: float = 0.0,
        texture_mm: float = 9.0,
    ) -> None:
        self.geometry = geometry
        self.pose = pose
        self.edge_mm = edge_mm or float(np.prod(geometry.spacing_mm) ** (1 / 3))
        self.channels: dict[str, Field] = {
            name: np.full(geometry.shape, value, dtype=np.float32) for name, value in background.items()
        }
        self.labels = np.zeros(geometry.shape, dtype=np.uint8)
        self._inverse = np.linalg.inv(geometry.affine)
        self._noise_seed = noise_seed
        self._texture_mm = texture_mm
        self._noise: dict[tuple[float, int], Field] = {}
        self.x, self.y, self.z = self._coordinates()

    def _coordinates(self) -> tuple[Field, Field, Field]:
        affine, shape = self.geometry.affine, self.geometry.shape
        steps = [np.arange(n, dtype=np.float64) for n in shape]
        index = [s.reshape([-1 if a == axis else 1 for a in range(3)]) for axis, s in enumerate(steps)]
        local = []
        for axis in range(3):
            parts = [affine[axis, a] * index[a] for a in range(3) if affine[axis, a] != 0.0]
            start = affine[axis, 3] - self.pose.shift_mm[axis]
            local.append((sum(parts[1:], parts[0]) + start).astype(np.float32))
        bent = self.pose.bend(local)
        rotation, pivot = self.pose.rotation(), self.pose._PIVOT
        coordinates = []
        for axis in range(3):
            total: Any = pivot[axis] + bent[axis]
            for other in range(3):
                if rotation[axis, other] != 0.0:
                    total = total + np.float32(rotation[axis, other]) * (local[other] - np.float32(pivot[other]))
            coordinates.append(np.ascontiguousarray(np.broadcast_to(total, shape), dtype=np.float32))
        return coordinates[0], coordinates[1], coordinates[2]

    def blocks(self, centres_mm: ArrayLike, halves_mm: ArrayLike) -> list[Slices | None]:
        """Index ranges that hold boxes (n, 3) given by centre and half size in canonical mm; None if off the grid."""
        centres = np.atleast_2d(np.asarray(centres_mm, dtype=np.float64))
        halves = np.atleast_2d(np.asarray(halves_mm, dtype=np.float64))
        pose = self.pose
        world = pose.to_world(centres, steps=1 if max(pose.bend_mm) < 4.0 else 3)
        index = world @ self._inverse[:3, :3].T + self._inverse[:3, 3]
        longest = halves.max(axis=1, keepdims=True)
        tilt = float(np.sin(np.deg2rad(np.abs(pose.tilt_deg).sum())))
        # Two waves per axis, there and back.
        steepest = max(2 * np.pi * a / w for a, w in zip(pose.bend_mm, pose.wavelength_mm, strict=True))
        bend = np.minimum(max(0.15, 2 * steepest) * longest, 4.0 * max(pose.bend_mm))
        reach = (halves + tilt * longest + bend + self.edge_mm + 0.7) @ np.abs(self._inverse[:3, :3]).T
        first = np.maximum(np.floor(index - reach).astype(int), 0)
        last = np.minimum(np.ceil(index + reach).astype(int) + 1, np.array(self.geometry.shape))
        return [
            None if (b <= a).any() else (slice(a[0], b[0]), slice(a[1], b[1]), slice(a[2], b[2]))
            for a, b in zip(first, last, strict=True)
        ]

    def world(self, axis: int) -> NDArray[np.float32]:
        """World coordinate of every voxel along one axis, mm; an array that broadcasts over (i, j, k)."""
        affine = self.geometry.affine
        total: Any = np.full((1, 1, 1), affine[axis, 3])
        for a, n in enumerate(self.geometry.shape):
            if affine[axis, a]:
                total = total + affine[axis, a] * np.arange(n).reshape([-1 if b == a else 1 for b in range(3)])
        return np.asarray(total, dtype=np.float32)

    def share(self, distance_mm: NDArray[Any]) -> Field:
        """The share of each voxel that lies inside a surface, from the signed distance to it."""
        out = np.asarray(distance_mm, dtype=np.float32) * np.float32(-1.0 / self.edge_mm)
        out += np.float32(0.5)
        return np.clip(out, 0.0, 1.0, out=out)

    def noise(self, block: Slices, *, scale_mm: float, seed: int = 0) -> Field:
        """Smooth noise of about unit variance on a block, the same at the same world place on every grid."""
        key = (scale_mm, seed)
        if key not in self._noise:
            self._noise[key] = self._lattice_noise(scale_mm, seed)
        return self._noise[key][block]

    def _lattice_noise(self, scale_mm: float, seed: int) -> Field:
        """A periodic random lattice interpolated linearly; separable, along the voxel axes nearest to the world's."""
        rng = np.random.default_rng((self._noise_seed, round(scale_mm * 10), seed))
        n_lattice = 40
        lattice = rng.standard_normal((n_lattice,) * 3, dtype=np.float32) * np.float32(
            1.84
        )  # linear weights: var x 8/27
        matrix = self.geometry.affine[:3, :3]
        dominant = [int(np.argmax(np.abs(matrix[axis]))) for axis in range(3)]
        start = self.geometry.affine[:3, 3] - np.array(self.pose.shift_mm)
        values = lattice
        weights = []
        for axis in range(3):
            n = self.geometry.shape[dominant[axis]]
            at = (start[axis] + matrix[axis, dominant[axis]] * np.arange(n)) / scale_mm
            left = np.floor(at).astype(int)
            part = (at - left).astype(np.float32)
            row = np.zeros((n, n_lattice), dtype=np.float32)
            row[np.arange(n), left % n_lattice] = 1 - part
            row[np.arange(n), (left + 1) % n_lattice] = part
            weights.append(row)
        for axis in range(3):
            values = np.moveaxis(np.tensordot(weights[axis], values, axes=(1, axis)), 0, axis)
        return np.ascontiguousarray(np.transpose(values, np.argsort(dominant)))

    def paint(
        self, block: Slices, share: NDArray[Any], material: Material, *, label: int = 0, inside: int | None = None,
        clears: bool = False, keeps: int = 0,
    ) -> None:
        """Covers a block with a material by share (0..1); labels where more than half; ``inside``: only there.

        ``clears``: what is covered by more than half is no longer the organ it was (a rib is not lung), but for the
        label ``keeps``.
        """
        alpha = share if inside is None else np.where(self.labels[block] == inside, share, 0.0).astype(np.float32)
        textured = material.texture and self.channels
        texture = self.noise(block, scale_mm=self._texture_mm) * np.float32(material.texture) if textured else None
        for name, channel in self.channels.items():
            value: Any = np.float32(getattr(material, name))
            if texture is not None:
                value = value + np.float32(10.0) * texture if name == "hu" else value * (1 + np.float32(0.1) * texture)
            part = channel[block]
            part += alpha * (value - part)
        if label or clears:
            labels = self.labels[block]
            labels[(alpha > 0.5) & (labels != keeps) if keeps else alpha > 0.5] = label

    def paint_layers(
        self,
        block: Slices,
        surfaces: Sequence[NDArray[Any]],
        materials: Sequence[Mapping[str, Any]],
        *,
        label: int = 0,
        labelled: int = 0,
    ) -> None:
        """Nested layers with exact shares.

        Args:
            block: Where.
            surfaces: Signed distances to the surfaces, outermost first.
            materials: One per surface: channel name to value (scalar or array) of the layer just inside it. A missing
                channel leaves what was there.
            label: Organ label set where the surface number ``labelled`` holds more than half a voxel.
            labelled: Index into surfaces.
        """
        shares = [self.share(s) for s in surfaces]
        layers = [
            np.maximum(shares[n] - shares[n + 1], 0.0) if n + 1 < len(shares) else shares[n] for n in range(len(shares))
        ]
        for name, channel in self.channels.items():
            part = channel[block]
            kept = np.ones(part.shape, dtype=np.float32)
            added = np.zeros(part.shape, dtype=np.float32)
            for layer, values in zip(layers, materials, strict=True):
                if name in values:
                    kept -= layer
                    added += layer * np.asarray(values[name], dtype=np.float32)
            part *= kept
            part += added
        if label:
            self.labels[block][shares[labelled] > 0.5] = label
