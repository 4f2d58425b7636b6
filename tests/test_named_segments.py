"""OpenVocabPredictor.segments: segments with their words, given or found."""

import numpy as np
import pytest
import torch
from detectron2.structures import Instances

from fgaseg_d2 import OpenVocabPredictor
from fgaseg_d2.io.coco_masks import encoded_mask
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


def test_masks_of_every_kind_are_named_alike(predictor):
    masks = np.zeros((4, 20, 30), bool)
    masks[0], masks[1, 3:9, 4:20], masks[2, 5:, 9:], masks[3, 19, 29] = True, True, True, True
    expected = predictor.segments(PICTURE, WORDS, masks)
    assert expected[0].area == 2400 and expected[3].area == 4
    sam = [{"segmentation": mask, "area": int(mask.sum()), "bbox": [0, 0, 1, 1]} for mask in masks]
    runs = [encoded_mask(mask) for mask in masks]
    detected = Instances((20, 30), pred_masks=torch.from_numpy(masks))
    for form in (
        255 * masks.astype(np.uint8),
        torch.from_numpy(masks).float(),
        sam,
        runs,
        detected,
    ):
        for one, other in zip(predictor.segments(PICTURE, WORDS, form), expected, strict=True):
            np.testing.assert_array_equal(one.mask, other.mask)
            assert one.scores == other.scores
    (alone,) = predictor.segments(PICTURE, WORDS, masks[1])
    assert alone.scores == pytest.approx(expected[1].scores, abs=1e-5)


def test_an_input_of_the_model_takes_them_too(predictor):
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 3:9, 4:20], masks[2, 5:, 9:] = True, True
    item = {"image": torch.from_numpy(PICTURE).permute(2, 0, 1), "vocabulary": WORDS}
    forms = (torch.from_numpy(masks), masks, [encoded_mask(mask) for mask in masks])
    with torch.no_grad():
        maps = [predictor.model([item | {"segments": form}])[0] for form in forms]
    for one in maps[1:]:
        assert torch.equal(one["sem_seg"], maps[0]["sem_seg"])
    assert maps[0]["covered"] == pytest.approx(masks.any(0).mean())
    with pytest.raises(ValueError, match="expected masks M x H x W, got 'none'"):
        predictor.model([item | {"segments": "none"}])


def test_thousands_of_masks_are_named(predictor):
    rng = np.random.default_rng(0)
    masks = rng.random((5000, 40, 60)) < 0.2
    found = predictor.segments(PICTURE, WORDS, masks)
    assert len(found) == 5000
    for index in (0, 2500, 4999):
        (alone,) = predictor.segments(PICTURE, WORDS, masks[index : index + 1])
        assert alone.scores == pytest.approx(found[index].scores, abs=1e-5)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([np.zeros((4, 5), bool)], "1 without, such as number 0"),
        ([np.ones((4, 5)), np.ones((5, 5))], "masks M x H x W of one size"),
        (np.linspace(0, 1, 20).reshape(1, 4, 5), "one value beside 0"),
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
