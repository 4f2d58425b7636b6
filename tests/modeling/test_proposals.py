"""Class-agnostic segments: where they come from, which stay, and what pixels get of them."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2 import Vocabulary
from fgaseg_d2.checkpoint.kept_tensors import KeptTensors
from fgaseg_d2.io.coco_masks import encoded_mask
from fgaseg_d2.modeling.inference.segment_scores import SegmentScores, voted
from fgaseg_d2.modeling.proposals import FiledSegments, GivenSegments, PictureSegments
from fgaseg_d2.modeling.proposals.filtering import filtered
from fgaseg_d2.modeling.proposals.sam import SAMMasks
from fgaseg_d2.modeling.proposals.superpixels import Superpixels
from tests.conftest import build_small
from tests.methods.tester import picture

WORDS = "cat,dog,sky"


def halves():
    """A picture of two colors, 40 x 60."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :25] = (200, 40, 30)
    image[:, 25:] = (20, 60, 220)
    return image


def test_superpixels_cover_a_picture_once_and_keep_to_its_edges():
    masks = Superpixels(30)(halves())
    assert masks.dtype == bool and masks.shape[1:] == (40, 60) and 15 <= len(masks) <= 60
    assert (masks.sum(0) == 1).all() and masks.any((1, 2)).all()
    assert not (masks[:, :, :25].any((1, 2)) & masks[:, :, 25:].any((1, 2))).any()


def by_pairs(masks, scores, smallest, same):
    """What stays, mask against mask, pixel by pixel."""
    left = [i for i in range(len(masks)) if sum(map(sum, masks[i].tolist())) >= smallest]
    left.sort(key=lambda i: -scores[i])
    kept = []
    for i in left:
        ious = []
        for j in kept:
            both = sum(bool(a and b) for a, b in zip(masks[i].ravel(), masks[j].ravel()))
            either = sum(bool(a or b) for a, b in zip(masks[i].ravel(), masks[j].ravel()))
            ious.append(both / either)
        if all(iou <= same for iou in ious):
            kept.append(i)
    return kept


def test_small_masks_go_and_of_equal_ones_the_best_stays():
    rng = np.random.default_rng(0)
    base = rng.random((4, 9, 11)) < 0.5
    near = base ^ (rng.random(base.shape) < 0.05)
    tiny = np.zeros((2, 9, 11), bool)
    tiny[0, 0, :3] = True
    masks, scores = np.concatenate([base, near, tiny]), rng.random(10)
    found, left = filtered(masks, scores, 4, 0.8)
    kept = by_pairs(masks, scores, 4, 0.8)
    assert 4 <= len(kept) < 8
    np.testing.assert_array_equal(found, masks[kept])
    np.testing.assert_array_equal(left, scores[kept])
    assert len(filtered(masks[:0], scores[:0], 4, 0.8)[0]) == 0


@pytest.mark.parametrize("seed", range(5))
def test_of_many_overlapping_masks_those_of_a_loop_stay(seed):
    """Blobs of all sizes, some of them nearly the same; scores with ties."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((30, 14, 16), bool)
    for mask in masks:
        top, left, height, width = rng.integers(0, 9), rng.integers(0, 9), *rng.integers(2, 8, 2)
        mask[top : top + height, left : left + width] = True
    masks = np.concatenate([masks, masks ^ (rng.random(masks.shape) < 0.02)])
    scores = rng.integers(0, 8, 60) / 8
    for smallest, same in ((1, 0.8), (10, 0.5), (30, 0.8), (1, 1.0)):
        kept = by_pairs(masks, scores, smallest, same)
        found, left = filtered(masks, scores, smallest, same)
        np.testing.assert_array_equal(found, masks[kept])
        np.testing.assert_array_equal(left, scores[kept])


def test_the_borders_of_what_stays():
    """100 pixels are enough, an IoU of 0.8 is not above it, and what is dropped drops nothing."""
    masks = np.zeros((5, 10, 30), bool)
    masks[0, :, :10] = masks[1, :, :8] = True  # 100 and 80 pixels, IoU 0.8
    masks[2, :, 20:] = masks[3, :, 20:] = masks[4, :9, 20:] = True
    masks[4, 9, 20:29] = True  # 99 pixels
    found = filtered(masks, np.array([0.5, 0.9, 0.3, 0.4, 1.0]), 100, 0.8)[1]
    assert found.tolist() == [0.5, 0.4]
    found = filtered(masks, np.array([0.5, 0.9, 0.3, 0.4, 1.0]), 80, 0.8)[1]
    assert found.tolist() == [1.0, 0.9, 0.5]
    # Alike in a row: the second goes with the first, and does not take the third along.
    row = np.zeros((3, 1, 30), bool)
    row[0, 0, :20] = row[1, 0, 2:22] = row[2, 0, 4:24] = True
    found = filtered(row, np.array([0.9, 0.8, 0.7]), 1, 0.8)[1]
    assert found.tolist() == [0.9, 0.7]


def test_other_weights_in_the_folder_of_a_sam_are_another_sam(tmp_path):
    """Whose masks are not those that were kept of the first."""
    (tmp_path / "model.safetensors").write_bytes(b"first")
    first = repr(SAMMasks(str(tmp_path)))
    assert repr(SAMMasks(str(tmp_path))) == first
    (tmp_path / "model.safetensors").write_bytes(b"the second")
    assert repr(SAMMasks(str(tmp_path))) != first
    assert repr(SAMMasks("facebook/sam-vit-base")) == repr(SAMMasks("facebook/sam-vit-base"))


def test_segments_are_kept_by_picture_and_setting(tmp_path):
    calls = []

    class Counting(Superpixels):
        def __call__(self, image):
            calls.append(1)
            return super().__call__(image)

    kept = KeptTensors(2**20, "proposals", "segments", tmp_path)
    item = {"image": torch.from_numpy(halves()).permute(2, 0, 1)}
    first = PictureSegments(Counting(30), "RGB", kept)(item)
    again = PictureSegments(Counting(30), "RGB", kept)(item)
    assert torch.equal(first, again) and len(calls) == 1
    PictureSegments(Counting(20), "RGB", kept)(item)
    PictureSegments(Counting(30), "BGR", kept)(item)
    PictureSegments(Counting(30), "RGB", kept)({"image": item["image"] + 1})
    assert len(calls) == 4
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < first.numel()


def test_given_segments_are_those_of_the_input():
    masks = torch.rand(3, 5, 6) < 0.5
    assert torch.equal(GivenSegments()({"image": picture(8, 8), "segments": masks}), masks)
    with pytest.raises(ValueError, match='expected "segments" in the input'):
        GivenSegments()({"image": picture(8, 8)})


@pytest.fixture
def segment_file(tmp_path):
    left, right = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    left[:, :3], right[1, 4] = True, True
    lines = [
        {"file_name": name, "height": 4, "width": 6, "segments": [{"rle": encoded_mask(mask)}]}
        for name, mask in (("a/x.png", left), ("b/x.png", right))
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path, left, right


def test_segments_of_a_file_are_found_by_the_end_of_a_path(segment_file):
    path, left, right = segment_file
    model = build_small("TEST.SEGMENT_VOTE", True, *kind("file"), "TEST.PROPOSALS.FILE", str(path))
    for folder, mask in (("a", left), ("b", right)):
        item = {"image": picture(32, 32), "file_name": f"/data/{folder}/x.png"}
        np.testing.assert_array_equal(model.proposals(item)[0].numpy(), mask)
    for name in ("/data/c/x.png", ""):
        with pytest.raises(ValueError, match="expected one record of .* got 0") as error:
            model.proposals({"image": picture(32, 32), "file_name": name})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("root", ["/", "", "data/"], ids=["absolute", "relative", "deeper"])
def test_pictures_of_one_name_in_two_folders_have_their_own_segments(root):
    left, right = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    left[:, :3], right[1, 4] = True, True
    filed = FiledSegments(
        [
            {
                **{"file_name": f"{root}{folder}/1.jpg", "height": 4, "width": 6},
                "segments": [{"rle": encoded_mask(mask)}],
            }
            for folder, mask in (("a", left), ("b", right))
        ]
    )
    image, above = picture(8, 8), "" if root == "/" else "/somewhere/"
    for folder, mask in (("a", left), ("b", right)):
        found = filed({"image": image, "file_name": f"{above}{root}{folder}/1.jpg"})
        np.testing.assert_array_equal(found[0].numpy(), mask)
    with pytest.raises(ValueError, match="got 0"):
        filed({"image": image, "file_name": f"{above}{root}c/1.jpg"})


def kind(name):
    return ("TEST.PROPOSALS.KIND", name)


def painted_by_loops(masks, scores, background):
    """Mean over the segments of each pixel."""
    result = background.copy()
    for y in range(masks.shape[1]):
        for x in range(masks.shape[2]):
            over = [scores[m] for m in range(len(masks)) if masks[m, y, x]]
            if over:
                result[:, y, x] = sum(over) / len(over)
    return result


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_a_pixel_has_the_mean_of_its_segments(share):
    rng = np.random.default_rng(0)
    masks, scores = rng.random((5, 12, 9)) < share, rng.random((5, 3))
    background = rng.random((3, 12, 9))
    segments = SegmentScores(torch.from_numpy(masks), torch.from_numpy(scores))
    found = segments.painted(torch.from_numpy(background))
    np.testing.assert_allclose(
        found.numpy(), painted_by_loops(masks, scores, background), atol=1e-9
    )
    assert segments.covered == pytest.approx(masks.any(0).mean())


def test_no_segment_leaves_the_scores_as_they_are():
    background = torch.rand(3, 4, 5)
    segments = voted(torch.zeros(2, 8, 10, dtype=torch.bool), background)
    assert len(segments.masks) == 0 and segments.covered == 0
    assert torch.equal(segments.painted(background), background)


def test_a_segment_has_the_mean_of_the_scores_on_its_area():
    torch.manual_seed(0)
    scores, masks = torch.rand(3, 4, 5), torch.rand(6, 12, 20) < 0.3
    masks[2] = False
    found = voted(masks, scores)
    pixels = scores.repeat_interleave(3, 1).repeat_interleave(4, 2)
    expected = torch.stack([pixels[:, mask].mean(1) for mask in masks[[0, 1, 3, 4, 5]]])
    torch.testing.assert_close(found.scores, expected)


@pytest.mark.parametrize(
    "opts", [(), ("MODEL.META_ARCHITECTURE", "DenseCLIP", "MODEL.CLIP.DENSE_READING", "sclip")]
)
def test_a_vote_makes_the_places_of_a_segment_agree(opts):
    model = build_small("DATASETS.TEST", (), *opts, "TEST.SEGMENT_VOTE", True, *kind("given"))
    masks = torch.zeros(2, 50, 80, dtype=torch.bool)
    masks[0, 5:20, 5:30], masks[1, 30:, 40:70] = True, True
    item = {"image": picture(50, 80), "vocabulary": WORDS, "segments": masks}
    plain = build_small("DATASETS.TEST", (), *opts)
    with torch.no_grad():
        (result,), (before,) = model([item]), plain([item])
        (labels,) = model([item | {"output": "labels"}])
        (segments,) = model([item | {"output": "segments"}])
    for mask in masks:
        values = result["sem_seg"][:, mask]
        torch.testing.assert_close(values, values[:, :1].expand_as(values))
    uncovered = ~masks.any(0)
    torch.testing.assert_close(
        result["sem_seg"][:, uncovered], before["sem_seg"][:, uncovered], atol=1e-5, rtol=1e-4
    )
    assert result["covered"] == labels["covered"] == pytest.approx(masks.any(0).float().mean())
    torch.testing.assert_close(segments["segment_scores"][0], result["sem_seg"][:, 6, 6])
    assert torch.equal(segments["segments"], masks)


def test_a_model_without_segments_says_so():
    with pytest.raises(ValueError, match="set TEST.SEGMENT_VOTE True"):
        build_small()([{"image": picture(20, 20), "vocabulary": WORDS, "output": "segments"}])


def use(*opts):
    return build_small(
        *("DATASETS.TEST", (), "MODEL.META_ARCHITECTURE", "USE", "MODEL.USE.DIM", 32),
        *("MODEL.CLIP.FINETUNE", "frozen", *opts),
    )


def test_use_paints_its_segments_probabilities():
    model = use(*kind("given"))
    # Overlapping, empty, and of another size than the picture.
    masks = torch.zeros(3, 25, 40, dtype=torch.bool)
    masks[0, :20, :20], masks[1, 10:, 10:30] = True, True
    item = {"image": picture(50, 80), "vocabulary": "cat|kitten,dog", "segments": masks}
    with torch.no_grad():
        (canvas,) = model([item | {"output": "canvas"}])
        (segments,) = model([item | {"output": "segments"}])
        text = model.text_encoder(Vocabulary.parse("cat,kitten,dog").entries)
        patches = model._patches(model._view(item))[0]
        found = [model.sem_seg_head.segments(patches, mask[None])[0][0] for mask in masks[:2]]
        dense = model.score_function(
            model.logits(model._view(item), Vocabulary.parse("cat,kitten,dog"))[0]
        )
    scale = model.loss.scale.detach()
    probabilities = [(scale * text @ one).softmax(0) for one in found]
    both = (probabilities[0] + probabilities[1]) / 2
    classes = lambda p: torch.stack([p[:2].max(0).values, p[2]])  # noqa: E731
    scores = canvas["sem_seg"]
    assert scores.shape == (2, 25, 40)
    torch.testing.assert_close(scores[:, 0, 0], classes(probabilities[0]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scores[:, 15, 15], classes(both), atol=1e-5, rtol=1e-4)
    dense = F.interpolate(dense[None], (25, 40), mode="bilinear")[0]
    torch.testing.assert_close(scores[:, 24, 0], classes(dense[:, 24, 0]), atol=1e-5, rtol=1e-4)
    assert canvas["covered"] == pytest.approx(masks.any(0).float().mean())
    assert len(segments["segments"]) == 2
    torch.testing.assert_close(segments["segment_scores"][1], classes(probabilities[1]))


def small_sam(transformers):
    """SAM with random weights, and what prepares its pictures."""
    config = transformers.SamConfig(
        vision_config={
            **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
            **{"image_size": 64, "patch_size": 16, "output_channels": 16, "mlp_dim": 32},
            **{"global_attn_indexes": [0], "window_size": 2, "num_pos_feats": 8},
        },
        prompt_encoder_config={
            **{"hidden_size": 16, "image_size": 64, "patch_size": 16},
            "image_embedding_size": 4,
        },
        mask_decoder_config={
            **{"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2},
            **{"iou_head_hidden_dim": 16, "num_hidden_layers": 1},
        },
    )
    processor = transformers.SamImageProcessor(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}
    )
    return transformers.SamModel(config), processor


def small_sam2(transformers):
    """The same of SAM 2."""
    config = transformers.Sam2Config(
        vision_config={
            "backbone_config": {
                **{"model_type": "sam2_hiera_det_model", "image_size": [64, 64]},
                **{"hidden_size": 16, "num_attention_heads": 1, "blocks_per_stage": [1] * 4},
                **{"embed_dim_per_stage": [16, 32, 64, 128], "global_attention_blocks": []},
                **{"num_attention_heads_per_stage": [1] * 4, "window_size_per_stage": [4, 2, 2, 2]},
                "window_positional_embedding_background_size": [2, 2],
            },
            **{"backbone_channel_list": [128, 64, 32, 16], "fpn_hidden_size": 32},
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={
            **{"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2},
            **{"iou_head_hidden_dim": 16, "num_hidden_layers": 1},
        },
    )
    processor = transformers.Sam2ImageProcessor(
        size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16}
    )
    return transformers.Sam2Model(config), processor


@pytest.mark.parametrize("small", [small_sam, small_sam2])
def test_sams_automatic_masks_through_transformers(small, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    for part in small(transformers):
        part.save_pretrained(tmp_path)
    model = build_small(
        *("TEST.SEGMENT_VOTE", True, *kind("sam"), "TEST.PROPOSALS.SAM", str(tmp_path)),
        *("TEST.PROPOSALS.POINTS", 3, "TEST.PROPOSALS.IOU", 0.0, "TEST.PROPOSALS.STABILITY", 0.0),
    )
    masks = model.proposals({"image": torch.from_numpy(halves()).permute(2, 0, 1)})
    assert masks.dtype == torch.bool and masks.shape[1:] == (40, 60) and len(masks)
    assert (masks.sum((1, 2)) >= 100).all()


def test_a_sam_that_is_not_there_is_one_line(tmp_path):
    model = build_small(
        "TEST.SEGMENT_VOTE", True, *kind("sam"), "TEST.PROPOSALS.SAM", str(tmp_path)
    )
    with pytest.raises(OSError, match="to name a SAM or SAM 2") as error:
        model.proposals({"image": picture(20, 20)})
    assert "\n" not in str(error.value)
