"""What may use the fitted fusion: the masks that it was fitted with, and whatever else is found beside them."""

import json
import shutil

import pytest

from irae.app.build import fitted_fusion
from irae.models.segmenters import PackagedSegmenter


@pytest.fixture(scope="module")
def fitted_with(project):
    return json.loads((project / "weights" / "fusion" / "fusion.json").read_text())["models"]


@pytest.mark.parametrize(("changed", "used"), [
    ({}, True),
    ({"adrenals": "sha256:new"}, True),
    ({"organs_fine": "sha256:new"}, False),
    ({"organs": "sha256:new"}, False),
    ({"thyroid": "sha256:new", "adrenals": "sha256:new"}, False),
    ({"totalsegmentator": "sha256:new"}, False),
])
def test_organs_found_beside_those_it_reads_leave_the_fusion_in_use(changed, used, fitted_with, project):
    masks = {name: fitted_with[name] for name in ("organs", "thyroid", "pituitary")} | changed
    assert (fitted_fusion(project / "weights", masks) is not None) is used


@pytest.mark.parametrize("masks", [{}, {"adrenals": "sha256:new"}])
def test_without_the_masks_it_reads_there_is_no_fusion(masks, project):
    assert fitted_fusion(project / "weights", masks) is None


def test_the_shipped_packages_are_those_of_the_shipped_fusion(project, tmp_path):
    packaged = PackagedSegmenter.from_folder(project / "weights")
    assert fitted_fusion(project / "weights", packaged.digests) is not None
    for name in ("organs", "thyroid", "pituitary"):
        shutil.copytree(project / "weights" / name, tmp_path / name)
    without = PackagedSegmenter.from_folder(tmp_path)
    assert "adrenals" not in without.digests
    assert fitted_fusion(project / "weights", without.digests) is not None
