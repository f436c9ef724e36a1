"""Parametric shapes: each says where it lies and gives its signed distance (mm, negative inside) on a canvas block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irae.phantom.canvas import Canvas, Field, Slices, rotation

FAR_MM = 1000.0


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """Centre, semi-axes and turn; ``rough_mm`` makes the surface wavy."""

    centre: tuple[float, float, float]
    semi: tuple[float, float, float]
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rough_mm: float = 0.0

    def field(self, canvas: Canvas, *, margin_mm: float = 0.0) -> tuple[Slices, Field] | None:
        """Block and signed distance, valid to ``margin_mm`` outside; None if off the grid."""
        turned = any(self.turn_deg)
        reach = max(self.semi) if turned else np.array(self.semi)
        block = canvas.blocks(self.centre, np.zeros(3) + reach + margin_mm + 2.0 * self.rough_mm)[0]
        if block is None:
            return None
        x = canvas.x[block] - np.float32(self.centre[0])
        y = canvas.y[block] - np.float32(self.centre[1])
        z = canvas.z[block] - np.float32(self.centre[2])
        if turned:
            m = rotation(self.turn_deg).T.astype(np.float32)
            x, y, z = (m[r, 0] * x + m[r, 1] * y + m[r, 2] * z for r in range(3))
        a, b, c = (np.float32(1.0 / s) for s in self.semi)
        x, y, z = x * a, y * b, z * c
        squares = x * x + y * y + z * z
        slope = np.sqrt((x * a) ** 2 + (y * b) ** 2 + (z * c) ** 2)
        distance = (squares - np.sqrt(squares)) / np.maximum(slope, np.float32(1e-6))
        distance = np.where(squares < 1e-6, np.float32(-min(self.semi)), distance)
        if self.rough_mm:
            distance = distance + np.float32(self.rough_mm) * canvas.noise(block, scale_mm=22.0, seed=3)
        return block, distance


class Tube:
    """A tube of varying radius along a centreline.

    Args:
        points: (n, 3) centreline, mm.
        radii: (n,) or one radius, mm.
    """

    def __init__(self, points: ArrayLike, radii: ArrayLike) -> None:
        self.points = np.asarray(points, dtype=np.float64)
        self.radii = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(self.points)).copy()

    @cached_property
    def arc_mm(self) -> NDArray[np.float64]:
        """(n,) length along the centreline at every point."""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.points, axis=0), axis=1))])

    def field(
        self, canvas: Canvas, *, margin_mm: float = 0.0, along: bool = False
    ) -> tuple[Slices, Field, Field | None] | None:
        """Block, signed distance, and (``along``) the position along the tube as a fractional point number."""
        a, b = self.points[:-1], self.points[1:]
        reach = np.maximum(self.radii[:-1], self.radii[1:])[:, None] + margin_mm
        blocks = canvas.blocks((a + b) / 2, np.abs(b - a) / 2 + reach)
        used = [s for s in blocks if s is not None]
        if not used:
            return None
        lo = [min(s[axis].start for s in used) for axis in range(3)]
        hi = [max(s[axis].stop for s in used) for axis in range(3)]
        whole = (slice(lo[0], hi[0]), slice(lo[1], hi[1]), slice(lo[2], hi[2]))
        shape = tuple(h - low for h, low in zip(hi, lo, strict=True))
        distance = np.full(shape, FAR_MM, dtype=np.float32)
        position = np.zeros(shape, dtype=np.float32) if along else None
        for n, block in enumerate(blocks):
            if block is None:
                continue
            local = tuple(slice(s.start - low, s.stop - low) for s, low in zip(block, lo, strict=True))
            ax, ay, az = a[n].astype(np.float32)
            dx, dy, dz = (b[n] - a[n]).astype(np.float32)
            x, y, z = canvas.x[block] - ax, canvas.y[block] - ay, canvas.z[block] - az
            t = (x * dx + y * dy + z * dz) * np.float32(1.0 / max(float(dx * dx + dy * dy + dz * dz), 1e-9))
            np.clip(t, 0.0, 1.0, out=t)
            x -= t * dx
            y -= t * dy
            z -= t * dz
            d = np.sqrt(x * x + y * y + z * z)
            d -= np.float32(self.radii[n])
            d -= t * np.float32(self.radii[n + 1] - self.radii[n])
            part = distance[local]
            if position is not None:
                nearer = d < part
                position[local][nearer] = t[nearer] + np.float32(n)
            np.minimum(part, d, out=part)
        return whole, distance, position


@dataclass(frozen=True, kw_only=True)
class Loft:
    """A body of elliptic sections stacked along z; ``square`` 0 is an ellipse, 1 nearly a rounded box.

    Attributes:
        z: Heights of the knots, mm, descending.
        half_x, half_y: Semi-axes at the knots, mm.
        centre_x, centre_y: Centres at the knots, mm.
    """

    z: tuple[float, ...]
    half_x: tuple[float, ...]
    half_y: tuple[float, ...]
    centre_x: tuple[float, ...]
    centre_y: tuple[float, ...]
    square: float = 0.0
    rough_mm: float = 0.0
    cap_mm: float = 0.0  # both ends close as half ellipses over this length

    def inset(self, mm: float) -> Loft:
        """The same body with its sections shrunk by some mm (no less than 1 mm half width)."""
        return Loft(
            z=self.z,
            half_x=tuple(max(a - mm, 1.0) for a in self.half_x),
            half_y=tuple(max(b - mm, 1.0) for b in self.half_y),
            centre_x=self.centre_x,
            centre_y=self.centre_y,
            square=self.square,
            rough_mm=self.rough_mm,
            cap_mm=self.cap_mm,
        )

    def at(self, z: float) -> tuple[float, float, float, float]:
        """Half x, half y, centre x, centre y at a height."""
        order = np.argsort(self.z)
        heights = np.array(self.z)[order]
        half_x, half_y, centre_x, centre_y = (
            float(np.interp(z, heights, np.array(v)[order]))
            for v in (self.half_x, self.half_y, self.centre_x, self.centre_y)
        )
        return half_x, half_y, centre_x, centre_y

    def field(self, canvas: Canvas, *, margin_mm: float = 0.0) -> tuple[Slices, Field] | None:
        """Block and signed distance; None if off the grid."""
        top, bottom = max(self.z), min(self.z)
        a, b, cx, cy = (np.array(v) for v in (self.half_x, self.half_y, self.centre_x, self.centre_y))
        lo = np.array([(cx - a).min(), (cy - b).min(), bottom]) - margin_mm
        hi = np.array([(cx + a).max(), (cy + b).max(), top]) + margin_mm
        block = canvas.blocks((lo + hi) / 2, (hi - lo) / 2)[0]
        return None if block is None else (block, self.distance(canvas, block))

    def distance(self, canvas: Canvas, block: Slices) -> Field:
        """Signed distance on a given block, which may reach beyond the body."""
        top, bottom = max(self.z), min(self.z)
        a, b, cx, cy = (np.array(v) for v in (self.half_x, self.half_y, self.centre_x, self.centre_y))
        order = np.argsort(self.z)
        heights = np.array(self.z)[order]
        fine = np.arange(bottom, top + 1.0)
        z = canvas.z[block]
        row = np.clip(z - np.float32(bottom), 0, len(fine) - 1).astype(np.int32)

        def table(values: NDArray[Any]) -> Field:
            smooth = np.interp(fine, heights, values[order])
            width = min(15, len(fine) // 4)
            if width > 1:
                padded = np.pad(smooth, width, mode="edge")
                smooth = np.convolve(padded, np.ones(2 * width + 1) / (2 * width + 1), mode="valid")
            return smooth.astype(np.float32)[row]

        wide, deep = table(a), table(b)
        if self.cap_mm:
            end = np.clip(np.minimum(fine - bottom, top - fine) / self.cap_mm, 0.0, 1.0)
            cap = np.maximum(np.sqrt(1.0 - (1.0 - end) ** 2), 0.02).astype(np.float32)[row]
            wide, deep = wide * cap, deep * cap
        u = (canvas.x[block] - table(cx)) / wide
        v = (canvas.y[block] - table(cy)) / deep
        u2, v2 = u * u, v * v
        q = np.sqrt(u2 + v2)
        slope = np.sqrt(u2 / (wide * wide) + v2 / (deep * deep)) / np.maximum(q, np.float32(1e-6))
        if self.square:
            q = (1 - np.float32(self.square)) * q + np.float32(self.square) * np.sqrt(np.sqrt(u2 * u2 + v2 * v2))
        distance = (q - 1) / np.maximum(slope, np.float32(1e-4))
        distance = np.maximum(distance, np.abs(z - np.float32((top + bottom) / 2)) - np.float32((top - bottom) / 2))
        if self.rough_mm:
            distance = distance + np.float32(self.rough_mm) * canvas.noise(block, scale_mm=22.0, seed=3)
        return np.asarray(distance, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Slab:
    """A box with rounded edges."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    round_mm: float = 2.0

    def field(self, canvas: Canvas, *, margin_mm: float = 0.0) -> tuple[Slices, Field] | None:
        """Block and signed distance; None if off the grid."""
        reach = np.array(self.half) if not any(self.turn_deg) else np.full(3, np.linalg.norm(self.half))
        block = canvas.blocks(self.centre, reach + margin_mm)[0]
        if block is None:
            return None
        p = [c[block] - np.float32(o) for c, o in zip((canvas.x, canvas.y, canvas.z), self.centre, strict=True)]
        if any(self.turn_deg):
            m = rotation(self.turn_deg).T.astype(np.float32)
            p = [m[r, 0] * p[0] + m[r, 1] * p[1] + m[r, 2] * p[2] for r in range(3)]
        q = [np.abs(c) - np.float32(h - self.round_mm) for c, h in zip(p, self.half, strict=True)]
        outside = np.sqrt(sum(np.maximum(c, 0.0) ** 2 for c in q))
        inside = np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0.0)
        return block, (outside + inside - np.float32(self.round_mm)).astype(np.float32)


def smooth_curve(knots: ArrayLike, *, step_mm: float) -> NDArray[np.float64]:
    """(n, 3) Catmull-Rom curve through knots, about one point every ``step_mm``."""
    points = np.asarray(knots, dtype=np.float64)
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    pieces = []
    for p0, p1, p2, p3 in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        count = max(2, round(float(np.linalg.norm(p2 - p1)) / step_mm) + 1)
        t = np.linspace(0, 1, count, endpoint=False)[:, None]
        pieces.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return np.vstack([*pieces, points[-1:]])
