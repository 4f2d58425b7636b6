"""Sliding window and the reduction of entries to classes."""

import pytest
import torch

from fgaseg_d2.modeling.inference.class_scores import reduce_entries
from fgaseg_d2.modeling.inference.sliding_window import cut_views, merge_views, window_offsets


def test_windows_of_the_published_protocol():
    assert window_offsets(640, 384, 256) == [0, 256]
    views = cut_views(torch.rand(3, 100, 200), (640, 640), (384, 384), (256, 256))
    assert views.shape == (5, 3, 384, 384)


@pytest.mark.parametrize("length", [384, 385, 640, 641, 1000])
def test_windows_cover_every_pixel_and_stay_inside(length):
    offsets = window_offsets(length, 384, 256)
    covered = {p for offset in offsets for p in range(offset, offset + 384)}
    assert covered == set(range(length))


def test_merging_puts_pixels_back_where_they_were():
    """Scores that are the picture itself come back as the picture."""
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    image = torch.stack((y, x, y + x))
    views = cut_views(image, (60, 80), (36, 48), (24, 32))
    views[-1] = 0  # the whole view is resized: leave it out of the comparison
    merged = merge_views(views, (60, 80), (36, 48), (24, 32))
    torch.testing.assert_close(merged, image / 2)


def test_whole_view_weighs_one_half():
    views = torch.zeros(5, 2, 4, 4)
    views[-1] = 1.0
    merged = merge_views(views, (6, 6), (4, 4), (2, 2))
    torch.testing.assert_close(merged, torch.full((2, 6, 6), 0.5))


def test_a_class_scores_as_its_best_entry():
    scores = torch.rand(4, 2, 3)
    reduced = reduce_entries(scores, (0, 0, 1, 2), classes=3)
    torch.testing.assert_close(reduced, torch.stack((scores[:2].amax(0), scores[2], scores[3])))


def test_background_wins_where_no_class_reaches_the_threshold():
    scores = torch.tensor([0.2, 0.6]).reshape(1, 1, 2)
    reduced = reduce_entries(scores, (0,), classes=2, background_threshold=0.5)
    assert reduced.argmax(0).tolist() == [[1, 0]]
    assert reduced[1].tolist() == [[0.5, 0.5]]
