"""Connected components of predictions and of truths, counted by hand and by flooding."""

import numpy as np
import pytest

from fgaseg_d2.evaluation.fragments import fragment_counts
from fgaseg_d2.evaluation.tally import Extras, Tally

TRUE = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])


@pytest.mark.parametrize(
    ("prediction", "pieces"),
    [
        ([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]], 3),
        # A piece of 1 apart, and one that touches its like at a corner.
        ([[1, 0, 0, 1], [0, 0, 1, 1], [2, 1, 2, 2]], 5),
        ([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], 1),
    ],
    ids=["as the truth", "shattered", "one class"],
)
def test_pieces_counted_by_hand(prediction, pieces):
    assert fragment_counts(np.array(prediction), TRUE, 255).tolist() == [pieces, 3]


def test_ignored_pixels_belong_to_no_piece_and_may_part_one():
    truth = TRUE.copy()
    truth[2, 1] = 255
    assert fragment_counts(np.zeros((3, 4), int), truth, 255).tolist() == [1, 4]
    assert fragment_counts(TRUE, np.full((3, 4), 255), 255).tolist() == [0, 0]


def flood(labels, counted):
    """Components by flooding from every pixel that no flood has reached."""
    left, pieces = {tuple(place) for place in np.argwhere(counted)}, 0
    while left:
        pieces, todo = pieces + 1, [left.pop()]
        while todo:
            y, x = todo.pop()
            near = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            found = [one for one in near if one in left and labels[one] == labels[y, x]]
            left.difference_update(found)
            todo += found
    return pieces


def test_random_maps_are_counted_as_by_flooding():
    generator = np.random.default_rng(0)
    prediction, truth = generator.integers(0, 4, (2, 15, 20))
    truth[generator.random((15, 20)) < 0.1] = 255
    expected = [flood(labels, truth != 255) for labels in (prediction, truth)]
    assert fragment_counts(prediction, truth, 255).tolist() == expected


def test_shards_add_up_and_nothing_is_counted_unless_asked():
    shards = [Tally(3, 255, Extras(fragments=True)) for _ in range(2)]
    shards[0].add("a", np.array([[0, 1, 0]]), np.array([[0, 0, 0]]))
    shards[1].add("b", np.array([[2, 2, 2]]), np.array([[2, 0, 2]]))
    assert shards[0].merge(shards).fragments.tolist() == [4, 4]
    plain = Tally(3, 255)
    plain.add("a", TRUE, TRUE)
    assert not plain.fragments.any()
