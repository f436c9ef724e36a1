"""Pictures: same patient, any storage; levels; colours; rulers."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from irae.core.finding import Decision
from irae.report.canvas import Panel, compact_png, draw_rows, spread
from irae.report.levels import corresponding_point, organ_centres
from irae.report.palette import NATURE
from irae.report.pictures import ExamImages, _height, exam_pictures, importance
from irae.report.planes import SAGITTAL, Plane
from tests.report import examples


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_pictures_do_not_depend_on_how_voxels_are_stored():
    straight = exam_pictures(*examples.baseline_exam(), baseline=None)
    turned = exam_pictures(*examples.baseline_exam(axes=(2, 0, 1), flips=(-1, -1, 1)), baseline=None)
    assert [p.title for p in straight] == [p.title for p in turned]
    for a, b in zip(straight, turned, strict=True):
        one, other = pixels(a.png), pixels(b.png)
        assert one.shape == other.shape, a.title
        assert np.abs(one - other).mean() < 0.5, a.title
        assert np.abs(one - other[:, ::-1]).mean() > 2.0, a.title


def test_a_follow_up_shows_baseline_and_now_and_each_important_focus():
    titles = [p.title for p in exam_pictures(*examples.follow_up_exam(), baseline=examples.baseline_exam())]
    assert titles[0].startswith("PET, maximum intensity")
    assert titles[1].startswith("CT, coronal")
    assert "Suspected colitis: colon, coronal" in titles
    assert [t.split(":")[0] for t in titles if t.startswith("L0")] == ["L05", "L04", "L01", "L02"]


def test_new_doubtful_foci_come_first_physiologic_and_gone_ones_last():
    result, _ = examples.follow_up_exam()
    assert [f.focus.track for f in sorted(result.foci, key=importance)] == ["L05", "L04", "L01", "L02", "L03", "L07"]


def test_levels_follow_the_organs():
    _, first = examples.baseline_exam()
    _, later = examples.follow_up_exam()  # the whole body moved by (6, -4, 24) mm on the table
    there, here = organ_centres(first.organs), organ_centres(later.organs)
    moved = corresponding_point((86.0, 6.0, 24.0), here, there)
    assert moved == pytest.approx((80.0, 10.0, 0.0), abs=1.5)
    assert corresponding_point((0.0, 0.0, 0.0), here, {}) is None
    assert organ_centres(None) == {}


def test_the_ruler_measures_the_gland():
    plane = Plane(kind=SAGITTAL, centre_mm=(0, 0, 0), width_mm=40, height_mm=40, pixel_mm=0.5)
    mask = np.zeros((80, 80), bool)
    mask[30:52, 35:45] = True  # 22 rows of 0.5 mm
    mask[38:44, 45:60] = True
    ruler = _height(mask, plane)
    assert ruler.high_mm - ruler.low_mm == pytest.approx(11.0)
    assert ruler.text == "11.0 mm"
    assert ruler.high_mm == pytest.approx(20 - 15)


def test_head_mr_is_shown_with_and_without_a_pituitary():
    with_gland = exam_pictures(*examples.head_exam(), baseline=examples.head_exam(7.0, weeks=0))
    without = exam_pictures(*examples.head_exam(segmented=False), baseline=None)
    assert [p.title for p in with_gland] == [p.title for p in without] == ["Sella, sagittal T1 after contrast"]
    assert pixels(with_gland[0].png).shape[1] > 3 * pixels(without[0].png).shape[1]


def test_small_pictures_keep_the_colours_of_the_outlines():
    rgb = np.repeat(np.linspace(0, 255, 300 * 300).reshape(300, 300, 1), 3, axis=2).astype(np.uint8)
    wanted = [tuple(int(s.colour[n:n + 2], 16) for n in (1, 3, 5)) for s in NATURE.values()]
    for n, colour in enumerate(wanted):
        rgb[40 * (n + 1), 100:130] = colour
    shown = pixels(compact_png(rgb))
    for n, colour in enumerate(wanted):
        assert np.abs(shown[40 * (n + 1), 115] - colour).max() <= 6
    assert np.abs(shown[:, :90] - rgb[:, :90]).max() <= 2  # greys


def test_names_in_a_margin_do_not_cover_each_other():
    heights = spread([100, 99, 98, 5, 4], room=10, low=0, high=100)
    assert all(a - b >= 10 for a, b in itertools.pairwise(heights))
    assert min(heights) >= 0


def test_an_empty_row_is_refused():
    with pytest.raises(ValueError, match="at least one panel"):
        draw_rows([])
    with pytest.raises(ValueError, match="scale"):
        Panel(title="", image=None, extent_mm=(1, 0, 0, 1), letters=("R", "L", "H", "F"), mm_per_px=0)


def test_labels_must_fit_their_grid():
    _, images = examples.baseline_exam()
    with pytest.raises(ValueError, match="do not fit"):
        ExamImages(exam=images.exam, organs=None, pituitary=None, foci_labels=np.zeros((2, 2, 2), np.uint16),
                   foci_geometry=images.foci_geometry)
    with pytest.raises(ValueError, match="go together"):
        ExamImages(exam=images.exam, organs=None, pituitary=None, foci_labels=None,
                   foci_geometry=images.foci_geometry)


def test_the_example_is_what_it_says():
    result, _ = examples.follow_up_exam()
    assert [f.decision for f in result.findings].count(Decision.NOT_ASSESSABLE) == 2
