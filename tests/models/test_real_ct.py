"""The shipped weights on a real CT: what is found must be believable, and what is not there must not be found.

Trained on synthetic patients only. These are floors, not achievements; docs/reference/models.md says what was reached.
"""

import numpy as np
import pytest

from irae.core.anatomy import BY_NAME, MUSCLE
from irae.core.volume import Coverage, Quantity
from irae.io.nifti import read_array, read_volume
from irae.models.plausibility import PLAUSIBILITY
from irae.models.segmenters import MaskSegmenter, PackagedSegmenter
from irae.models.segmenters.masks import class_names
from irae.models.segmenters.names import translated
from irae.training.metrics import dice

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def abdomen(shared_data):
    """TotalSegmentator's example CT (3 mm, dome of the liver to the thighs) and its silver labels."""
    folder = shared_data / "totalseg"
    ct = read_volume(folder / "example_ct.nii.gz", Quantity.HU)
    silver = folder / "example_ct_seg.nii.gz"
    labels, _ = translated(read_array(silver)[0], class_names(silver))
    return ct, labels


@pytest.fixture(scope="module")
def found(abdomen, project):
    return PackagedSegmenter.from_folder(project / "weights").segment_ct(abdomen[0])


def test_the_liver_of_a_real_ct_is_found(abdomen, found):
    assert found.seen("liver")
    assert dice(found.mask("liver"), abdomen[1] == found.labels["liver"]) > 0.6


def test_the_muscles_of_a_real_ct_are_found_and_hardly_anything_else(abdomen, found):
    """The silver labels name glutei, iliopsoas and the muscles along the spine only: most of what is found has none."""
    drawn = abdomen[1] == BY_NAME[MUSCLE].label
    assert np.mean(found.mask(MUSCLE)[drawn]) > 0.85
    others = (abdomen[1] > 0) & ~drawn
    assert np.mean(others[found.mask(MUSCLE)]) < 0.1


def test_organs_outside_the_picture_are_not_found(found):
    for organ in ("brain", "thyroid_gland"):
        assert found.coverage[organ] is Coverage.NONE, organ


def test_what_is_believed_passes_the_gates_and_what_is_rejected_says_why(abdomen, found):
    for organ, coverage in found.coverage.items():
        if coverage is Coverage.NONE:
            assert not found.mask(organ).any()
            continue
        gate = PLAUSIBILITY.hu[organ]
        assert gate.low <= float(np.median(abdomen[0].array[found.mask(organ)])) <= gate.high
    assert all(sentence for sentence in found.rejected.values())


def test_silver_masks_of_a_real_ct_pass_the_gates(abdomen, shared_data, tmp_path):
    """The gates must not throw away what a good segmentation finds."""
    (tmp_path / "example_ct_seg.nii.gz").symlink_to(shared_data / "totalseg" / "example_ct_seg.nii.gz")
    believed = MaskSegmenter(tmp_path).segment_ct(abdomen[0])
    for organ in ("liver", "spleen", "kidney_left", "kidney_right", "colon", "small_bowel", "stomach",
                  "urinary_bladder", "vertebrae", "pancreas", "aorta"):
        assert believed.seen(organ), believed.rejected.get(organ, organ)
