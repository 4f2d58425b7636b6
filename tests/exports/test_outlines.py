"""Outlines and run lengths: filled again they are the mask, pixel by pixel."""

import cv2
import numpy as np
import pytest
from matplotlib.path import Path
from PIL import Image, ImageDraw
from pycocotools import mask as mask_utils
from scipy import ndimage

from fgaseg_d2.exports.regions import LabelMap
from fgaseg_d2.exports.rings import center_polygon, edge_rings
from fgaseg_d2.exports.rle import brush_rle, run_lengths
from fgaseg_d2.io.coco_masks import encoded_mask
from tests.exports.readers import pieces, unpacked_brush
from tests.exports.scenes import labels, noise

MAPS = [labels(), *(noise(seed) for seed in range(12))]
NAMES = "abcd"


def unit_steps(ring):
    """The sides of pixels that a ring goes along."""
    for start, end in zip(ring, np.roll(ring, -1, 0)):
        length = np.abs(end - start).sum()
        for step in range(length):
            at = start + (end - start) // length * step
            yield (*at, *(at + (end - start) // length))


@pytest.mark.parametrize("found", MAPS)
def test_rings_along_the_edges_enclose_exactly_the_mask(found):
    y, x = np.indices(found.shape) + 0.5
    centers = np.stack([x.ravel(), y.ravel()], 1)
    for mask in pieces(found):
        outer, *holes = edge_rings(mask)
        inside = Path(outer).contains_points(centers)
        for hole in holes:
            inside &= ~Path(hole).contains_points(centers)
        assert (inside.reshape(mask.shape) == mask).all()


@pytest.mark.parametrize("found", MAPS)
def test_rings_are_simple_and_say_by_their_direction_what_they_are(found):
    for mask in pieces(found):
        rings = edge_rings(mask)
        areas = []
        for ring in rings:
            assert len({tuple(point) for point in ring}) == len(ring) >= 4
            (x, y), (next_x, next_y) = ring.T, np.roll(ring, -1, 0).T
            assert ((x == next_x) != (y == next_y)).all()
            areas.append((x * next_y - next_x * y).sum() / 2)
        assert areas[0] > 0 and all(area < 0 for area in areas[1:])
        assert sum(areas) == mask.sum()
        sides = [side for ring in rings for side in unit_steps(ring)]
        assert len(set(sides)) == len(sides)


@pytest.mark.parametrize("found", MAPS)
def test_a_filled_and_drawn_line_through_centers_is_the_mask(found):
    for mask in pieces(found):
        line = center_polygon(mask)
        assert len(line) >= 3
        filled = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [line.astype(np.int32)], 1)
        assert (filled.astype(bool) == mask).all()
        picture = Image.new("1", mask.shape[::-1])
        ImageDraw.Draw(picture).polygon([tuple(map(int, at)) for at in line], fill=1, outline=1)
        assert (np.asarray(picture) == mask).all()


@pytest.mark.parametrize("found", MAPS)
def test_regions_are_the_pieces_and_the_classes(found):
    generator = np.random.default_rng(1)
    confidence = generator.random(found.shape).astype(np.float32)
    label_map = LabelMap(found, NAMES, confidence)
    covered = np.zeros(found.shape, int)
    for region in label_map.regions(pieces=True):
        mask = region.whole_mask(found.shape)
        assert ndimage.label(mask)[1] == 1 and (found[mask] == region.label).all()
        assert region.name == NAMES[region.label] and region.area == mask.sum()
        assert region.score == pytest.approx(confidence[mask].mean(), abs=1e-5)
        rows, columns = np.nonzero(mask)
        left, top, right, bottom = region.box
        assert (left, top) == (columns.min(), rows.min())
        assert (right, bottom) == (columns.max() + 1, rows.max() + 1)
        covered += mask
    assert (covered == 1).all()
    assert sum(1 for _ in label_map.regions(pieces=True)) == sum(1 for _ in pieces(found))
    for region in label_map.regions():
        assert (region.whole_mask(found.shape) == (found == region.label)).all()
    large = [region.area for region in label_map.regions(pieces=True, smallest=20)]
    assert sorted(large) == sorted(n for n in (mask.sum() for mask in pieces(found)) if n >= 20)


@pytest.mark.parametrize("found", [*MAPS, np.ones((300, 250), int), np.eye(260, dtype=int)])
def test_run_lengths_are_the_mask(found):
    mask = found == 1
    lengths = run_lengths(mask)
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    assert (values.reshape(mask.shape) == mask).all() and (lengths[1:] > 0).all()
    encoded = encoded_mask(mask)
    assert (mask_utils.decode(encoded) == mask).all() and isinstance(encoded["counts"], str)
    picture = unpacked_brush(brush_rle(mask)).reshape(*mask.shape, 4)
    assert (picture == 255 * mask[..., None]).all()
