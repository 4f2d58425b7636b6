"""OpenVocabPredictor.segments: segments with their words, given or found."""

import numpy as np
import pytest

from fgaseg_d2 import OpenVocabPredictor
from tests.conftest import ROOT

WORDS = "cat|kitten,dog,sky"
SMALL = str(ROOT / "tests/data/small.yaml")
CLIP = ("MODEL.CLIP.NAME", str(ROOT / "tests/data/clip/Small-ViT-8.json"))
USE = (
    *("MODEL.META_ARCHITECTURE", "USE", "MODEL.CLIP.FINETUNE", "frozen", "MODEL.USE.DIM", 32),
    *("TEST.PROPOSALS.SUPERPIXELS", 12, *CLIP),
)
VOTE = ("TEST.SEGMENT_VOTE", True, "TEST.PROPOSALS.SUPERPIXELS", 12, *CLIP)
# Squares of a color each.
PICTURE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
PICTURE = PICTURE.repeat(10, 0).repeat(10, 1)


@pytest.fixture(scope="module", params=[USE, VOTE], ids=["use", "vote"])
def predictor(request):
    return OpenVocabPredictor(SMALL, "", "cpu", opts=request.param)


def test_found_segments_have_the_picture_size_and_all_words(predictor):
    found = predictor.segments(PICTURE, WORDS)
    assert len(found) > 3 and all(one.mask.shape == (40, 60) for one in found)
    assert [one.area for one in found] == sorted((one.area for one in found), reverse=True)
    assert abs(sum(one.area for one in found) - 2400) < 240  # superpixels of the resized picture
    for one in found:
        values = list(one.scores.values())
        assert set(one.scores) == {"cat", "dog", "sky"} and values == sorted(values, reverse=True)
        assert (
            one.score == values[0] and one.name == next(iter(one.scores)) and one.name in repr(one)
        )


def test_given_masks_are_named_in_their_order(predictor):
    masks = np.zeros((2, 80, 120), bool)
    masks[0, 4:6, 8:12], masks[1, 20:, 30:] = True, True
    small, large = predictor.segments(PICTURE, WORDS, masks)
    # At half their size.
    assert small.box == (4, 2, 6, 3) and small.area == 2 and large.box == (15, 10, 60, 40)
    (alone,) = predictor.segments(PICTURE, WORDS, [masks[1]])
    assert alone.scores == pytest.approx(large.scores, abs=1e-5)
    assert predictor.segments(PICTURE, WORDS, []) == []


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([np.zeros((4, 5), bool)], "1 without, such as number 0"),
        ([np.ones((4, 5)), np.ones((5, 5))], "masks M x H x W of one size"),
        (np.ones((4, 5)), r"an array of shape \[4, 5\]"),
        (["a", "b"], "masks M x H x W"),
        (7, "masks M x H x W"),
    ],
)
def test_what_are_no_masks_is_said_in_one_line(predictor, masks, message):
    with pytest.raises(ValueError, match=message) as error:
        predictor.segments(PICTURE, WORDS, masks)
    assert "\n" not in str(error.value)


def test_a_method_without_segments_says_what_to_set():
    with pytest.raises(ValueError, match="set TEST.SEGMENT_VOTE True"):
        OpenVocabPredictor(SMALL, "", "cpu", opts=CLIP).segments(PICTURE, WORDS)
