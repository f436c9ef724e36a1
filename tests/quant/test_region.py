import gc
import weakref

import numpy as np

from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap
from irae.quant.region import box_around, organ_boxes


def test_box_around_a_mask_has_its_margin_and_ends_at_the_grid():
    grid = Geometry.axis_aligned((10, 10, 10), (2.0, 2.0, 2.0))
    mask = np.zeros(grid.shape, bool)
    mask[5, 1, 4:6] = True
    assert box_around(mask, grid, 3.0) == (slice(3, 8), slice(0, 4), slice(2, 8))
    assert box_around(np.zeros(grid.shape, bool), grid, 3.0) == (slice(0, 10),) * 3


def test_boxes_are_looked_up_once_and_do_not_keep_the_organs_alive():
    grid = Geometry.axis_aligned((10, 10, 10), (2.0, 2.0, 2.0))
    array = np.zeros(grid.shape, np.uint8)
    array[2:5, 3, 4:9] = 5
    organs = LabelMap(array=array, geometry=grid, labels={"liver": 5, "spleen": 7},
                      coverage={"liver": Coverage.WHOLE, "spleen": Coverage.WHOLE})
    assert organ_boxes(organs) == {"liver": (slice(2, 5), slice(3, 4), slice(4, 9))}
    assert organ_boxes(organs) is organ_boxes(organs)
    gone = weakref.ref(organs)
    del organs
    gc.collect()
    assert gone() is None
