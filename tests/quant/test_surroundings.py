"""Fat around an organ, gas outside the bowel, fluid around the lungs, halos along vessels, adrenals: known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.quant.adrenal import measure_adrenals
from irae.quant.surroundings import free_gas_ml, pleural_fluid_ml, stranding_percent

SHAPE, SPACING = (90, 70, 80), (4.0, 4.0, 4.0)
GRID = Geometry.axis_aligned(SHAPE, SPACING)


def ball(centre, radius, grid=GRID):
    points = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return np.linalg.norm((points - np.array(centre)) * grid.spacing_mm, axis=-1) <= radius


def torso():
    """Fat body with two lungs, liver, bowel and stomach: HU and labels."""
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[5:85, 5:65, :] = -100.0
    labels = np.zeros(SHAPE, np.uint8)
    for name, centre, radius, value in (
        ("lung_left", (25, 35, 65), 50, -800.0), ("lung_right", (65, 35, 65), 50, -800.0),
        ("heart", (45, 45, 60), 25, 60.0),
        ("liver", (65, 35, 35), 45, 100.0), ("stomach", (28, 45, 35), 25, 30.0), ("colon", (30, 25, 12), 25, -900.0),
        ("small_bowel", (60, 30, 10), 30, 40.0),
    ):
        mask = ball(centre, radius)
        hu[mask], labels[mask] = value, BY_NAME[name].label
    return hu, labels


def label_map(labels, grid=GRID):
    names = {BY_NAME[n].label: n for n in BY_NAME}
    found = [names[v] for v in np.unique(labels) if v]
    return LabelMap(array=labels, geometry=grid, labels={n: BY_NAME[n].label for n in found},
                    coverage=dict.fromkeys(found, Coverage.WHOLE))


def ct(hu, grid=GRID):
    return Volume(array=hu, geometry=grid, quantity=Quantity.HU)


def test_gas_away_from_every_bowel_is_free():
    hu, labels = torso()
    assert free_gas_ml(ct(hu), label_map(labels)) == (0.0, ""), "gas of colon and lungs is theirs"
    hu[ball((65, 58, 35), 11)] = -990.0  # in front of the liver
    found, why = free_gas_ml(ct(hu), label_map(labels))
    assert why == ""
    assert found == pytest.approx(4 / 3 * np.pi * 1.1**3, rel=0.35)
    hu[ball((30, 33, 12), 8)] = -990.0  # beside the colon: may be its own
    assert free_gas_ml(ct(hu), label_map(labels))[0] == pytest.approx(found)


def test_gas_is_not_looked_for_without_the_bowel():
    hu, labels = torso()
    labels[labels == BY_NAME["small_bowel"].label] = 0
    found, why = free_gas_ml(ct(hu), label_map(labels))
    assert found is None
    assert "small_bowel" in why


def test_pleural_fluid():
    hu, labels = torso()
    assert pleural_fluid_ml(ct(hu), label_map(labels)) == (0.0, "")
    pool = ball((25, 35, 65), 50) & (np.indices(SHAPE)[1] < 30)  # it lies behind, where lung was
    hu[pool], labels[pool] = 8.0, 0
    found, _ = pleural_fluid_ml(ct(hu), label_map(labels))
    # Its thin edges are taken for the border between lung and fat: it reads low, never high.
    assert 0.4 * pool.sum() * 0.064 < found < 1.1 * pool.sum() * 0.064


@pytest.mark.parametrize(("fat", "expected"), [(-105.0, 0.0), (-45.0, 100.0)])
def test_stranding(fat, expected):
    hu = np.full((40, 40, 40), fat, np.float32)
    grid = Geometry.axis_aligned((40, 40, 40), (2.0, 2.0, 2.0))
    gland = ball((20, 20, 20), 16, grid)
    hu[gland] = 40.0
    labels = np.where(gland, BY_NAME["pancreas"].label, 0).astype(np.uint8)
    assert stranding_percent(ct(hu, grid), label_map(labels, grid), "pancreas") == pytest.approx(expected, abs=12.0)
    assert stranding_percent(ct(hu, grid), label_map(labels, grid), "liver") is None


def test_adrenals_need_both_sides():
    grid = Geometry.axis_aligned((40, 40, 40), (1.0, 1.0, 1.0))
    labels = np.zeros(grid.shape, np.uint8)
    labels[5:10, 10:30, 10:30] = BY_NAME["adrenal_gland_left"].label
    assert measure_adrenals(label_map(labels, grid)) is None
    labels[25:37, 10:30, 10:30] = BY_NAME["adrenal_gland_right"].label
    found = measure_adrenals(label_map(labels, grid))
    assert found.lesser_thickness_mm == pytest.approx(5.0, abs=1.0)
    assert found.lesser_volume_ml == pytest.approx(2.0, rel=0.01)
    whole = label_map(labels, grid)
    part = dict(whole.coverage) | {"adrenal_gland_right": Coverage.PARTIAL}
    assert measure_adrenals(replace(whole, coverage=part)) is None, "a gland that the field of view cuts is not thin"
