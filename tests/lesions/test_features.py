"""What the CT says of a focus, on drawn tissue."""

import numpy as np
import pytest
from scipy import ndimage

from irae.core.geometry import Geometry
from irae.lesions.features import ct_features
from irae.lesions.rules import FOCI_RULES

GRID = Geometry.axis_aligned((40, 40, 40), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("lesion_hu", "least", "most"), [(95.0, 0.8, 1.0), (170.0, 0.0, 0.1), (450.0, 0.0, 0.1)],
                         ids=["soft tissue", "marrow", "sclerotic"])
def test_a_lytic_lesion_is_told_by_its_core_which_the_bone_around_it_does_not_blur(lesion_hu, least, most):
    away = np.linalg.norm(np.argwhere(np.ones(GRID.shape)) - 20.0, axis=1).reshape(GRID.shape)
    true = np.where(away <= 6.0, lesion_hu, 240.0)
    hu = ndimage.gaussian_filter(true, 2.0).astype(np.float32)  # slices of 3 to 4 mm
    tissue = ct_features(hu, away <= 7.0, GRID, FOCI_RULES)
    assert tissue["lytic_fraction"] < 0.4, "the whole of it is no measure: the blur of the border is in it"
    assert least <= tissue["core_lytic_fraction"] <= most
