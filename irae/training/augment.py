"""Random crops and changes of image, so that a network meets more scanners and bodies than were drawn for it.

All on torch tensors (channels first), all randomness from one NumPy generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Deform:
    """How a crop is turned, scaled and bent. Angles in degrees, bending in voxels."""

    rotate_deg: float = 12.0
    scale: float = 0.2
    stretch: float = 0.1
    bend_voxels: float = 2.0
    bend_knots: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HuChange:
    """How CT numbers change: scanner offset and gain, noise of any correlation, blur, a cut field of view."""

    offset_hu: float = 25.0
    gain: float = 0.08
    noise_hu: float = 45.0
    blur_voxels: float = 0.8
    cut_share: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SuvChange:
    """How uptake changes: gain (weight, dose, time after injection), noise that grows with uptake, blur."""

    gain: float = 0.35
    noise: float = 0.12
    blur_voxels: float = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChange:
    """How what a coarser network found changes: an organ it missed altogether, soft or misplaced borders (voxels of
    the crop). After Isensee, Nat Methods 2021 (nnU-Net), whose second stage is trained so, too.
    """

    missed_share: float = 0.04
    blur_voxels: float = 1.0
    shift_voxels: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MrChange:
    """How MR signal (normalised, about 0..1) changes: gain, offset, gamma, bias field, noise, blur."""

    gain: float = 0.25
    offset: float = 0.06
    gamma: float = 0.3
    bias: float = 0.25
    noise: float = 0.06
    blur_voxels: float = 0.8


def crop_field(
    rng: np.random.Generator, centre: Sequence[float], patch: Sequence[int], size: Sequence[int], deform: Deform
) -> torch.Tensor:
    """Where each voxel of a deformed patch is sampled: (1, *patch, 3) for ``grid_sample``, axes (K, J, I) last.

    Args:
        rng: Source of randomness.
        centre: Voxel index of the patch's centre in the volume.
        patch: Voxels of the patch.
        size: Voxels of the volume.
        deform: How much.
    """
    angles = np.deg2rad(rng.uniform(-deform.rotate_deg, deform.rotate_deg, 3))
    scale = np.exp(rng.uniform(-deform.scale, deform.scale) + rng.uniform(-deform.stretch, deform.stretch, 3))
    matrix = torch.tensor(_rotation(angles) * scale[None, :], dtype=torch.float32)
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ matrix.T
    if deform.bend_voxels > 0:
        knots = rng.normal(0.0, deform.bend_voxels, (1, 3, *(deform.bend_knots,) * 3)).astype(np.float32)
        bend = functional.interpolate(torch.from_numpy(knots), size=list(patch), mode="trilinear", align_corners=True)
        offsets = offsets + bend[0].permute(1, 2, 3, 0)
    position = offsets + torch.tensor(np.asarray(centre, dtype=np.float32))
    extent = torch.tensor([max(n - 1, 1) for n in size], dtype=torch.float32)
    return (2.0 * position / extent - 1.0).flip(-1)[None]


def sample(volume: torch.Tensor, field: torch.Tensor, *, outside: float, nearest: bool = False) -> torch.Tensor:
    """A (C, I, J, K) volume at a crop field: (C, *patch). Beyond the volume lies ``outside``."""
    mode = "nearest" if nearest else "bilinear"
    shifted = functional.grid_sample(
        volume[None] - outside, field, mode=mode, padding_mode="zeros", align_corners=True
    )
    return shifted[0] + outside


def field_on(field: torch.Tensor, size: Sequence[int], other: Sequence[int]) -> torch.Tensor:
    """A crop field of a volume of ``size`` voxels for a grid of ``other`` voxels over the same box."""
    sizes, others = (torch.tensor(list(n)[::-1], dtype=torch.float32) for n in (size, other))
    index = (field + 1.0) / 2.0 * (sizes - 1.0)
    there = (index + 0.5) * others / sizes - 0.5
    return 2.0 * there / (others - 1.0).clamp(min=1.0) - 1.0


def changed_found(rng: np.random.Generator, found: torch.Tensor, change: FoundChange) -> torch.Tensor:
    """(organs, I, J, K) probabilities of a coarser network's organs as on a worse day."""
    out = blurred(found, rng.uniform(0.0, change.blur_voxels)) if rng.random() < 0.3 else found
    if rng.random() < 0.3:
        step = rng.integers(-change.shift_voxels, change.shift_voxels + 1, 3).tolist()
        out = torch.roll(out, step, dims=(1, 2, 3))
    kept = torch.from_numpy(rng.random(found.shape[0]) >= change.missed_share)
    return out * kept[:, None, None, None]


def changed_hu(rng: np.random.Generator, ct: torch.Tensor, change: HuChange) -> torch.Tensor:
    """A (1, I, J, K) CT crop as another scanner, dose and kernel would show it."""
    out = blurred(ct, rng.uniform(0.0, change.blur_voxels)) if rng.random() < 0.5 else ct
    gain = 1.0 + rng.uniform(-change.gain, change.gain)
    out = (out + 1000.0) * gain - 1000.0 + rng.uniform(-change.offset_hu, change.offset_hu)
    if rng.random() < 0.7:
        out = out + noise_like(rng, ct, sigma=change.noise_hu * rng.random() ** 2)
    return out


def changed_suv(rng: np.random.Generator, pet: torch.Tensor, change: SuvChange) -> torch.Tensor:
    """A (1, I, J, K) SUV crop as another scanner, dose and time after injection would show it."""
    out = blurred(pet, rng.uniform(0.0, change.blur_voxels)) if rng.random() < 0.5 else pet
    out = out * float(np.exp(rng.uniform(-change.gain, change.gain)))
    noise = noise_like(rng, pet, sigma=change.noise * rng.random() ** 2)
    return (out + noise * (out.clamp(min=0.0) + 0.2)).clamp(min=0.0)


def changed_mr(rng: np.random.Generator, mr: torch.Tensor, change: MrChange) -> torch.Tensor:
    """A (1, I, J, K) normalised MR crop as another coil, sequence and field strength would show it."""
    out = blurred(mr, rng.uniform(0.0, change.blur_voxels)) if rng.random() < 0.5 else mr
    out = out.clamp(min=0.0) ** float(np.exp(rng.uniform(-change.gamma, change.gamma)))
    knots = torch.from_numpy(rng.normal(0.0, change.bias, (1, 1, 3, 3, 3)).astype(np.float32))
    bias = functional.interpolate(knots, size=list(mr.shape[1:]), mode="trilinear", align_corners=True)[0]
    out = out * torch.exp(bias) * float(np.exp(rng.uniform(-change.gain, change.gain)))
    out = out + rng.uniform(-change.offset, change.offset)
    return out + noise_like(rng, mr, sigma=change.noise * rng.random() ** 2)


def noise_like(rng: np.random.Generator, image: torch.Tensor, *, sigma: float) -> torch.Tensor:
    """Gaussian noise of this standard deviation, white or correlated over a voxel or so."""
    white = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    if rng.random() < 0.5:
        white = blurred(white, 0.6)
        white = white / white.std()
    return white * float(sigma)


def cut_axially(
    rng: np.random.Generator, image: torch.Tensor, labels: torch.Tensor, *, outside: float | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same crop as if the scan had begun or ended inside it: nothing beyond a random axial plane.

    outside: What lies there, one value or one for each channel.
    """
    depth = image.shape[-1]
    plane = int(rng.integers(depth // 8, depth // 2))
    beyond = slice(0, plane) if rng.random() < 0.5 else slice(depth - plane, depth)
    image, labels = image.clone(), labels.clone()
    image[..., beyond] = outside
    labels[..., beyond] = 0
    return image, labels


def blurred(image: torch.Tensor, sigma_voxels: float) -> torch.Tensor:
    """A (C, I, J, K) image under a small Gaussian."""
    if sigma_voxels < 0.1:
        return image
    x = torch.arange(-2, 3, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma_voxels) ** 2)
    kernel = kernel / kernel.sum()
    out = image[:, None]
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = 5
        padding = [0, 0, 0, 0, 0, 0]
        padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = 2
        out = functional.conv3d(functional.pad(out, padding, mode="replicate"), kernel.reshape(shape))
    return out[:, 0]


def _rotation(angles: np.ndarray) -> np.ndarray:
    (ci, cj, ck), (si, sj, sk) = np.cos(angles), np.sin(angles)
    about_i = np.array([[1, 0, 0], [0, ci, -si], [0, si, ci]])
    about_j = np.array([[cj, 0, sj], [0, 1, 0], [-sj, 0, cj]])
    about_k = np.array([[ck, -sk, 0], [sk, ck, 0], [0, 0, 1]])
    rotation: np.ndarray = about_k @ about_j @ about_i
    return rotation
