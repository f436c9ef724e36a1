"""The evidence map over the organ of a suspected irAE: drawn, explained, and only where there is one."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from irae.core.anatomy import Irae
from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.report.evidence import CAPTION, ELSEWHERE, evidence_outlines, relevance_at
from irae.report.pictures import exam_pictures
from irae.report.planes import CORONAL, Plane
from tests.report import examples

ORANGE = (0xE6, 0x9F, 0x00)


def blob(centre, *, shape=(48, 48, 48), spacing=6.0, reach_mm=80.0) -> Volume:
    """A map that falls off linearly around a place, RAS+ mm."""
    grid = Geometry.axis_aligned(shape, (spacing,) * 3, tuple(c - (n - 1) / 2 * spacing for c, n in zip(
        (0.0, 45.0, -130.0), shape, strict=True)))
    points = grid.to_world(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1))
    distance = np.linalg.norm(points - np.array(centre), axis=-1)
    return Volume(array=np.clip(1.0 - distance / reach_mm, 0.0, 1.0), geometry=grid, quantity=Quantity.RELEVANCE)


def colitis_picture(relevance):
    result, images = examples.follow_up_exam()
    maps = {} if relevance is None else {Irae.COLITIS: relevance}
    pictures = exam_pictures(result, replace(images, evidence_maps=maps), baseline=examples.baseline_exam())
    return next(p for p in pictures if p.title.startswith("Suspected colitis"))


def orange_pixels(picture) -> int:
    rgb = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
    return int((np.abs(rgb - np.array(ORANGE)).max(axis=2) < 12).sum())


def test_contours_are_drawn_on_ct_and_pet_and_explained():
    plain, with_map = colitis_picture(None), colitis_picture(blob((46.0, 41.0, -126.0)))
    assert orange_pixels(plain) < 20 < orange_pixels(with_map)
    assert CAPTION in with_map.caption
    assert "no outline of disease" in with_map.caption
    assert CAPTION not in plain.caption
    assert "where the learned arm looked most" in with_map.caption


def test_the_plane_goes_where_the_network_looked():
    captions = [colitis_picture(blob((46.0, y, -126.0), reach_mm=20.0)).caption for y in (30.0, 52.0)]
    front, back = (float(caption.split("at y ")[1].split()[0]) for caption in captions)
    assert back - front >= 8.0


def test_a_map_that_misses_the_organ_is_said_to():
    far = blob((46.0, 41.0, -126.0))
    moved = Volume(array=far.array, geometry=Geometry.axis_aligned(far.geometry.shape, (6.0,) * 3, (900.0,) * 3),
                   quantity=Quantity.RELEVANCE)
    assert ELSEWHERE in colitis_picture(moved).caption


def test_contours_lie_at_half_and_four_fifths():
    relevance = blob((0.0, 45.0, -130.0))
    plane = Plane(kind=CORONAL, centre_mm=(0.0, 45.0, -130.0), width_mm=200, height_mm=200, pixel_mm=2.0)
    half, most = evidence_outlines(relevance, plane)
    assert np.sqrt(half.mask.sum() * 4 / np.pi) == pytest.approx(40.0, abs=4.0)
    assert np.sqrt(most.mask.sum() * 4 / np.pi) == pytest.approx(16.0, abs=4.0)
    assert relevance_at(relevance, np.array([[0.0, 45.0, -130.0], [5000.0, 0.0, 0.0]])) == pytest.approx(
        [1.0, 0.0], abs=0.1)  # the map's cells lie up to half a cell off the peak


def test_the_sella_shows_it_too():
    result, images = examples.head_exam()
    grid = Geometry.axis_aligned((40, 40, 40), (1.0,) * 3, (-20.0, 0.0, -45.0))
    points = grid.to_world(np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), axis=-1))
    array = np.clip(1.0 - np.linalg.norm(points - np.array((0.0, 20.0, -25.0)), axis=-1) / 12.0, 0.0, 1.0)
    maps = {Irae.HYPOPHYSITIS: Volume(array=array, geometry=grid, quantity=Quantity.RELEVANCE)}
    (picture,) = exam_pictures(result, replace(images, evidence_maps=maps), baseline=None)
    assert CAPTION in picture.caption
    assert orange_pixels(picture) > 20
