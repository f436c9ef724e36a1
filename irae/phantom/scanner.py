"""What the scanners add: blur, noise, offset, bias field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.phantom.canvas import Field
from irae.phantom.metal import streaks
from irae.phantom.patient import Scanner

FWHM_TO_SIGMA = 1.0 / 2.3548200450309493
HU_RANGE = (-1024.0, 3071.0)


def _sigma_voxels(fwhm_mm: float, geometry: Geometry, *, already_mm: float = 0.0) -> list[float]:
    """Gaussian sigma per voxel axis, less the box average of ``already_mm`` that the painting did."""
    variance = (fwhm_mm * FWHM_TO_SIGMA) ** 2 - already_mm**2 / 12.0
    return [float(np.sqrt(max(variance, 0.0)) / s) for s in geometry.spacing_mm]


def correlated_noise(rng: np.random.Generator, geometry: Geometry, fwhm_mm: float) -> NDArray[np.float32]:
    """Gaussian noise of unit SD whose autocorrelation follows a filter of the given width."""
    noise = rng.standard_normal(geometry.shape, dtype=np.float32)
    sigma = _sigma_voxels(fwhm_mm, geometry)
    if max(sigma) > 0.25:
        gain = 1.0
        for axis, s in enumerate(sigma):
            if s > 0.25:
                radius = int(4.0 * s + 0.5)
                kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / s) ** 2)
                kernel /= kernel.sum()
                gain *= float(np.sqrt((kernel**2).sum()))
                noise = ndimage.gaussian_filter1d(noise, s, axis=axis, mode="wrap", truncate=4.0)
        noise /= np.float32(gain)
    return noise


def _attenuation(hu: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """(1, 1, k) noise of every slice against an abdomen: more through shoulders and pelvis, less through the neck."""
    water = np.clip(hu + np.float32(1000.0), 0, 2000).sum(axis=(0, 1)) / 1000.0
    across_cm = 2 * np.sqrt(water * geometry.spacing_mm[0] * geometry.spacing_mm[1] / 100.0 / np.pi)
    return np.clip(np.exp(0.06 * (across_cm - 27.0)), 0.5, 2.0).astype(np.float32)[None, None, :]


def scan_ct(true_hu: Field, geometry: Geometry, scanner: Scanner, *, edge_mm: float) -> NDArray[np.float32]:
    """CT numbers as a scanner gives them, rounded to whole HU."""
    rng = np.random.default_rng((scanner.noise_seed, 1))
    sigma = _sigma_voxels(scanner.ct_fwhm_mm, geometry, already_mm=edge_mm)
    image = ndimage.gaussian_filter(true_hu, sigma, mode="nearest") if max(sigma) > 0.2 else true_hu.copy()
    thicker = scanner.ct_slice_mm**2 - edge_mm**2
    if thicker > 0:  # slices lie along the last axis
        image = ndimage.gaussian_filter1d(image, np.sqrt(thicker / 12.0) / geometry.spacing_mm[2], axis=2)
    rays = streaks(true_hu, geometry, rng)
    image = add_ct_noise(image, geometry, scanner)
    if rays is not None:
        image += rays * np.where(image < -500, np.float32(0.3), np.float32(1.0))
    image += np.float32(scanner.ct_offset_hu) * (image > -900)
    return np.clip(np.rint(image), *HU_RANGE).astype(np.float32)


def add_ct_noise(image: NDArray[np.float32], geometry: Geometry, scanner: Scanner) -> NDArray[np.float32]:
    """Correlated noise: quoted for 2 x 2 x 4 mm of an abdomen, it falls with the root of the voxel's volume."""
    rng = np.random.default_rng((scanner.noise_seed, 4))
    level = scanner.ct_noise_hu * float(np.sqrt(0.016 / max(geometry.voxel_volume_ml, 0.002)))
    noise = correlated_noise(rng, geometry, scanner.ct_noise_fwhm_mm) * np.float32(level)
    noise *= np.where(image < -900, np.float32(0.4), np.float32(1.0))  # less noise where nothing absorbs
    return np.asarray(image + noise * _attenuation(image, geometry), dtype=np.float32)


def blur_pet(true_suv: Field, geometry: Geometry, scanner: Scanner, *, edge_mm: float) -> NDArray[np.float32]:
    """True concentration blurred by the scanner's resolution."""
    sigma = _sigma_voxels(scanner.pet_fwhm_mm, geometry, already_mm=edge_mm)
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(true_suv, sigma, mode="nearest")
    return blurred


def add_pet_noise(image: NDArray[np.float32], geometry: Geometry, scanner: Scanner) -> NDArray[np.float32]:
    """Correlated noise whose variance follows the local mean, as counts do; a small floor where nothing is."""
    rng = np.random.default_rng((scanner.noise_seed, 2))
    noise = correlated_noise(rng, geometry, scanner.pet_fwhm_mm)
    liver = np.float32(2.2)
    noise *= np.float32(scanner.pet_noise) * np.sqrt(np.maximum(image, 0) * liver + np.float32(0.002))
    return np.maximum(image + noise, 0.0).astype(np.float32)


def scan_mr(signal: Field, geometry: Geometry, scanner: Scanner) -> NDArray[np.float32]:
    """T1-weighted signal with a receive bias field and Rician noise, in a scanner's arbitrary units."""
    rng = np.random.default_rng((scanner.noise_seed, 3))
    bias = np.ones((1, 1, 1), dtype=np.float32)
    for axis, n in enumerate(geometry.shape):
        u = np.linspace(-1, 1, n, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        bias = (
            bias
            + np.float32(scanner.mr_bias * rng.uniform(-0.7, 0.7)) * u
            + np.float32(scanner.mr_bias * rng.uniform(-0.6, 0.6)) * (u * u - np.float32(0.33))
        )
    scale = float(rng.uniform(250, 500))
    sd = 1.0 / scanner.mr_snr
    thicker = scanner.mr_slice_mm**2 - geometry.spacing_mm[2] ** 2  # slices lie along the last axis
    clean = signal * bias
    if thicker > 0:
        clean = ndimage.gaussian_filter1d(clean, np.sqrt(thicker / 12.0) / geometry.spacing_mm[2], axis=2)
    real = clean + rng.standard_normal(geometry.shape, dtype=np.float32) * np.float32(sd)
    imaginary = rng.standard_normal(geometry.shape, dtype=np.float32) * np.float32(sd)
    return np.rint(np.sqrt(real * real + imaginary * imaginary) * np.float32(scale)).astype(np.float32)
