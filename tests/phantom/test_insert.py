"""Findings inserted into volumes: exact truth, the rest untouched, the same for the same seed."""

import dataclasses

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME, Irae
from irae.core.focus import Nature
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.io.nifti import read_array, read_volume
from irae.phantom.insert import KINDS, insert

GRID = Geometry.axis_aligned((64, 48, 60), (4.0, 4.0, 4.0), (-126.0, -94.0, -118.0))
PET_GRID = Geometry.axis_aligned((52, 40, 48), (5.0, 5.0, 5.0), (-127.0, -97.0, -117.0))


def _ball(grid, centre, radius):
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return np.linalg.norm(grid.to_world(index) - np.array(centre), axis=-1) < radius


@pytest.fixture(scope="module")
def normal():
    """Two lungs, a liver, a bent tube of colon and a thyroid in soft tissue, with the noise of a scan."""
    rng = np.random.default_rng(0)
    hu = np.full(GRID.shape, -80.0)
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    for name, centre, radius, value in (
        ("lung_right", (60, 0, 50), 55, -800), ("lung_left", (-60, 0, 50), 52, -800), ("liver", (60, 0, -60), 50, 55),
        ("aorta", (0, -40, 0), 10, 45), ("thyroid_gland", (0, 0, 112), 12, 95),
    ):  # fmt: skip
        inside = _ball(GRID, centre, radius)
        hu[inside], labels[inside] = value, BY_NAME[name].label
    for t in np.linspace(0, 1, 60):
        inside = _ball(GRID, (-60 + 30 * np.sin(3 * t), 40 - 80 * t, -50 - 30 * np.cos(5 * t)), 17)
        hu[inside], labels[inside] = 20.0, BY_NAME["colon"].label
    hu = hu + rng.normal(0, 12, GRID.shape)
    organs = LabelMap(
        array=labels, geometry=GRID, labels={n: o.label for n, o in BY_NAME.items()},
        coverage={n: Coverage.WHOLE if (labels == o.label).any() else Coverage.NONE for n, o in BY_NAME.items()},
    )  # fmt: skip
    ct = Volume(array=hu, geometry=GRID, quantity=Quantity.HU)
    pet = Volume(array=np.full(PET_GRID.shape, 0.9), geometry=PET_GRID, quantity=Quantity.SUV_BW)
    return ct, organs, pet


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_changes_its_organ_and_says_where(kind, normal):
    ct, organs, pet = normal
    made = insert(3, ct, organs, kinds=[kind], pet=pet)
    (truth,) = made.truth
    changed = np.abs(made.ct.array - ct.array)[truth.mask]
    assert changed.mean() > (150 if truth.organ.startswith("lung") else 12)
    host = organs.mask("lung_left", "lung_right") if truth.organ == "lung" else organs.mask(truth.organ)
    assert (truth.mask & host).sum() >= 0.9 * truth.mask.sum() > 0
    assert truth.volume_ml == pytest.approx(truth.mask.sum() * GRID.voxel_volume_ml, abs=0.01)
    assert truth.diameters_mm == tuple(sorted(truth.diameters_mm, reverse=True))
    assert made.organs is organs
    i, j, k = np.rint(PET_GRID.to_index(GRID.to_world(np.argwhere(truth.mask)))).astype(int).T
    hot = made.pet.array[i.clip(0, 51), j.clip(0, 39), k.clip(0, 47)]
    assert 0.9 < hot.max() <= truth.suv + 0.01
    assert (made.pet.array >= pet.array - 1e-4).all()
    far = np.ones(GRID.shape, dtype=bool)
    far[made.ct.array != ct.array] = False
    assert far.mean() > 0.5  # the rest of the scan is untouched


def test_the_truth_of_a_nodule_is_its_ellipsoid(normal):
    ct, organs, _ = normal
    (truth,) = insert(5, ct, organs, kinds=["liver_metastasis"]).truth
    a, b, c = truth.diameters_mm
    assert truth.volume_ml == pytest.approx(np.pi / 6 * a * b * c / 1000, rel=0.25)
    assert (truth.nature, truth.irae, truth.suv) == (Nature.METASTASIS, None, None)
    assert insert(5, ct, organs, kinds=["colitis"]).truth[0].irae is Irae.COLITIS


def test_the_same_seed_gives_the_same_voxels(normal):
    ct, organs, pet = normal
    kinds = ["lung_metastasis", "organising_pneumonia", "thyroiditis"]
    a, b, c = (insert(s, ct, organs, kinds=kinds, pet=pet) for s in (1, 1, 2))
    assert np.array_equal(a.ct.array, b.ct.array)
    assert np.array_equal(a.pet.array, b.pet.array)
    assert not np.array_equal(a.ct.array, c.ct.array)
    assert [t.kind for t in a.truth] == kinds


def test_what_cannot_be_inserted_is_refused(normal):
    ct, organs, pet = normal
    with pytest.raises(ValueError, match="unknown kinds"):
        insert(0, ct, organs, kinds=["measles"])
    with pytest.raises(ValueError, match="must be HU"):
        insert(0, pet, organs, kinds=["colitis"])
    with pytest.raises(ValueError, match="must be SUV_BW"):
        insert(0, ct, organs, kinds=["colitis"], pet=ct)
    moved = Geometry.axis_aligned(GRID.shape, GRID.spacing_mm, (0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="must lie on the CT's grid"):
        insert(0, dataclasses.replace(ct, geometry=moved), organs, kinds=["colitis"])
    empty = LabelMap(array=np.zeros(GRID.shape, dtype=np.uint8), geometry=GRID, labels={}, coverage={})
    with pytest.raises(ValueError, match="not in the picture"):
        insert(0, ct, empty, kinds=["liver_metastasis"])
    with pytest.raises(ValueError, match="not in the picture"):
        insert(0, ct, empty, kinds=["colitis"])


@pytest.mark.real_data
def test_a_real_ct_takes_a_liver_metastasis_and_a_colitis(shared_data):
    """The scan of an abdomen with TotalSegmentator's own labels (5 liver, 20 colon, 52 aorta)."""
    ct = read_volume(shared_data / "totalseg" / "example_ct.nii.gz", Quantity.HU)
    theirs, geometry = read_array(shared_data / "totalseg" / "example_ct_seg.nii.gz")
    assert geometry.same_grid(ct.geometry)
    names = {"liver": 5, "colon": 20, "aorta": 52}
    labels = np.zeros(theirs.shape, dtype=np.uint8)
    for name, value in names.items():
        labels[theirs == value] = BY_NAME[name].label
    organs = LabelMap(
        array=labels, geometry=ct.geometry, labels={n: BY_NAME[n].label for n in names},
        coverage=dict.fromkeys(names, Coverage.PARTIAL),
    )  # fmt: skip
    made = insert(11, ct, organs, kinds=["liver_metastasis", "colitis"])
    lesion, wall = made.truth
    liver = np.median(ct.array[organs.mask("liver")])
    assert np.median(made.ct.array[lesion.mask]) < liver - 12
    assert 0.02 < wall.organ_share < 0.9
    assert np.abs(np.median(made.ct.array[wall.mask]) - 40) < 25
