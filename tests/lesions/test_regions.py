"""Which maxima of a PET are one focus, on drawn uptake."""

import numpy as np
import pytest
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap
from irae.lesions.regions import Noise, hot_regions
from irae.lesions.rules import FOCI_RULES, FWHM_PER_SIGMA
from irae.lesions.threshold import hot_threshold
from irae.quant.uptake import UptakeReference

GRID = Geometry.axis_aligned((48, 40, 40), (4.0, 4.0, 4.0))
MIDDLE = np.array([94.0, 78.0, 78.0])


def regions_of(*balls):
    """Balls of (offset along x in mm, diameter in mm, SUV) in a lung; the hotter one where they overlap."""
    at = GRID.to_world(np.argwhere(np.ones(GRID.shape)))
    suv = np.full(len(at), 0.5)
    for offset, diameter, uptake in balls:
        away = np.linalg.norm(at - MIDDLE - (offset, 0.0, 0.0), axis=1)
        suv = np.where(away <= diameter / 2, np.maximum(suv, uptake), suv)
    noise = np.random.default_rng(3).normal(1.0, 0.08, GRID.shape)
    blurred = ndimage.gaussian_filter(suv.reshape(GRID.shape) * noise, 6.5 / FWHM_PER_SIGMA / 4.0).astype(np.float32)
    lung = LabelMap(array=np.ones(GRID.shape, np.uint8), geometry=GRID, labels={"lung_left": 1},
                    coverage={"lung_left": Coverage.WHOLE})
    threshold = hot_threshold(UptakeReference(liver_mean=2.2, liver_sd=0.2), FOCI_RULES)
    return hot_regions(blurred, GRID, lung, threshold, (2.2, 0.2), 1.6, Noise({}, 0.07, 4.0), FOCI_RULES)


def volume_ml(found, region):
    return np.count_nonzero(found.labels == region) * GRID.voxel_volume_ml


def test_a_metastasis_at_the_border_of_an_opacity_is_not_the_opacitys_maximum():
    found = regions_of((0.0, 90.0, 3.6), (50.0, 22.0, 9.5))
    hottest, *others = sorted(found.peaks, key=lambda region: -found.peaks[region][1])
    assert np.linalg.norm(GRID.to_world(np.array(found.peaks[hottest][0])) - MIDDLE - (50.0, 0.0, 0.0)) < 6.0
    assert volume_ml(found, hottest) < 15.0
    assert max(volume_ml(found, region) for region in others) > 150.0


@pytest.mark.parametrize("balls", [
    ((0.0, 22.0, 9.5), (14.0, 12.0, 4.0)),
    ((0.0, 46.0, 9.5), (34.0, 46.0, 5.0)),
], ids=["a faint part beside it", "a large mass of two parts"])
def test_a_part_of_a_metastasis_is_no_focus_of_its_own(balls):
    assert len(regions_of(*balls).peaks) == 1


def test_a_mass_over_half_of_which_a_mask_of_the_bowel_runs_is_one_focus():
    at = GRID.to_world(np.argwhere(np.ones(GRID.shape))).reshape(*GRID.shape, 3)
    mass = np.linalg.norm(at - MIDDLE, axis=-1) <= 28.0
    loop = np.hypot(at[..., 1] - 78.0, at[..., 2] - 20.0) <= 12.0  # along x, below the mass
    noise = np.random.default_rng(4).normal(1.0, 0.5, GRID.shape)
    true = np.where(mass, 14.0, np.where(loop, 2.4, 0.6)) * noise
    suv = ndimage.gaussian_filter(true, 6.5 / FWHM_PER_SIGMA / 4.0).astype(np.float32)
    bowel = loop | (mass & (at[..., 0] > 90.0))
    organs = LabelMap(array=bowel.astype(np.uint8), geometry=GRID, labels={"small_bowel": 1},
                      coverage={"small_bowel": Coverage.WHOLE})
    threshold = hot_threshold(UptakeReference(liver_mean=2.2, liver_sd=0.2), FOCI_RULES)
    found = hot_regions(suv, GRID, organs, threshold, (2.2, 0.2), 1.6, Noise({}, 0.07, 4.0), FOCI_RULES)
    of_mass = np.unique(found.labels[np.linalg.norm(at - MIDDLE, axis=-1) <= 20.0])
    assert len(of_mass) == 1
    assert of_mass[0] not in found.pictures
