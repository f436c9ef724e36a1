"""What every segmenter promises, whatever it runs."""

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME
from irae.core.ports import Segmenter
from irae.core.volume import Coverage, LabelMap, Quantity
from irae.models.segmenters import (
    MaskSegmenter,
    MonaiBundleSegmenter,
    PackagedSegmenter,
    TotalSegmentatorSegmenter,
)
from tests.models.make import organs_card, save, volume
from tests.models.test_segmenters import bundle, labels_file, program

SHAPE, SPACING = (24, 20, 16), (10.0, 10.0, 10.0)


def _packaged(tmp_path):
    return PackagedSegmenter.from_folder(save(tmp_path, organs_card()))


def _bundle(tmp_path):
    return MonaiBundleSegmenter(bundle(tmp_path / "bundle"))


def _totalsegmentator(tmp_path):
    return TotalSegmentatorSegmenter(program(tmp_path))


def _masks(tmp_path):
    labels_file(tmp_path / "organs.nii.gz", volume(SHAPE, SPACING), {1: "liver"})
    return MaskSegmenter(tmp_path)


@pytest.fixture(params=[_packaged, _bundle, _totalsegmentator, _masks], ids=lambda make: make.__name__.strip("_"))
def segmenter(request, tmp_path) -> Segmenter:
    return request.param(tmp_path)


def _is_valid(found: LabelMap, image, organs) -> None:
    assert isinstance(found, LabelMap)
    assert found.geometry.same_grid(image.geometry)
    assert found.array.dtype == np.uint8
    assert set(found.labels) <= set(organs)
    assert all(found.labels[organ] == BY_NAME[organ].label for organ in found.labels)
    assert set(np.unique(found.array)) <= {0, *found.labels.values()}
    for organ in found.labels:
        has_voxels = bool((found.array == found.labels[organ]).any())
        assert has_voxels == (found.coverage[organ] is not Coverage.NONE), organ
        if organ in found.rejected:
            assert found.coverage[organ] is Coverage.NONE
            assert found.rejected[organ]


def test_organs_of_a_ct_lie_on_its_grid_and_unseen_ones_have_no_voxels(segmenter):
    ct = volume(SHAPE, SPACING, value=80)
    _is_valid(segmenter.segment_ct(ct), ct, set(BY_NAME) - {"pituitary"})


def test_the_pituitary_of_an_mr_lies_on_its_grid(segmenter):
    mr = volume((20, 20, 20), (2.0, 2.0, 2.0), quantity=Quantity.MR_SIGNAL)
    found = segmenter.segment_mr(mr)
    _is_valid(found, mr, {"pituitary", *BY_NAME})
    assert "pituitary" in found.coverage or not found.array.any()


def test_the_same_image_gets_the_same_answer_and_is_not_changed(segmenter):
    ct = volume(SHAPE, SPACING, value=80)
    before = ct.array.copy()
    one, two = segmenter.segment_ct(ct), segmenter.segment_ct(ct)
    np.testing.assert_array_equal(one.array, two.array)
    assert dict(one.coverage) == dict(two.coverage)
    np.testing.assert_array_equal(ct.array, before)


def test_it_says_what_it_runs(segmenter):
    assert segmenter.name in {"packaged", "monai_bundle", "totalsegmentator", "masks"}
    digests = dict(segmenter.digests)
    assert digests
    assert all(value.startswith("sha256:") and len(value) == 71 for value in digests.values())
    assert dict(segmenter.digests) == digests
