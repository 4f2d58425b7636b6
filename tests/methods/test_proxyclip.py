"""ProxyCLIP's reading: CLIP's values, averaged by how alike another tower finds two places."""

import copy
import math
from functools import partial

import pytest
import timm
import torch
from torch.nn import functional as F

from fgaseg_d2 import Vocabulary
from fgaseg_d2.methods.dense_clip.proxy import ProxyAttention, averaged, proxy_weights
from fgaseg_d2.modeling.towers import CLIPViT, TimmViT
from fgaseg_d2.modeling.towers.loading import split_attention
from tests.conftest import build_small
from tests.methods.tester import SegmentorTester, picture
from tests.modeling.test_dense_reading import random_towers
from tests.towers import small_name

READ = ("MODEL.META_ARCHITECTURE", "DenseCLIP", "MODEL.CLIP.DENSE_READING", "proxyclip")
NAME = "MODEL.DENSE_CLIP.PROXY.NAME"
PROXY = (*READ, NAME, "test_vit")


class TestProxyCLIP(SegmentorTester):
    """A grid that is coarser than CLIP's."""

    opts = PROXY


class TestProxyCLIPInWindows(SegmentorTester):
    """A patch that does not divide the windows."""

    opts = (
        *(*READ, NAME, small_name("dinov2"), "TEST.SLIDING_WINDOW.ENABLED", True),
        *("TEST.SLIDING_WINDOW.CANVAS", [96, 96], "TEST.SLIDING_WINDOW.SIZE", [64, 64]),
        *("TEST.SLIDING_WINDOW.STRIDE", [32, 32]),
    )


class TestProxyCLIPWithAPyramid(SegmentorTester):
    """The other tower is no vision transformer."""

    opts = (*READ, NAME, small_name("resnet"))


def weights_by_hand(tokens):
    """Tokens N x D -> N x N, one pair of places at a time; how many pairs were left out."""
    rows = [[value / math.hypot(*token) for value in token] for token in tokens.tolist()]
    alike = [[sum(a * b for a, b in zip(p, q, strict=True)) for q in rows] for p in rows]
    mean = sum(map(sum, alike)) / len(rows) ** 2
    weights, left_out = [], 0
    for row in alike:
        scores = [3.0 * (value - 1.2 * mean) for value in row]
        shares = [math.exp(score) if score >= 0 else 0.0 for score in scores]
        left_out += shares.count(0.0)
        weights.append([share / sum(shares) for share in shares])
    return weights, left_out


def resampled_by_hand(values, size):
    """A map, values[y][x] being W numbers -> on another grid, between the centers of cells."""

    def sources(count, new):
        for index in range(new):
            at = min(max((index + 0.5) * count / new - 0.5, 0), count - 1)
            low = int(at)
            yield low, min(low + 1, count - 1), at - low

    rows = []
    for top, bottom, down in sources(len(values), size[0]):
        for left, right, across in sources(len(values[0]), size[1]):
            upper = (1 - across) * values[top][left] + across * values[top][right]
            lower = (1 - across) * values[bottom][left] + across * values[bottom][right]
            rows.append((1 - down) * upper + down * lower)
    return rows


def random_proxy(patch, size):
    """A model of timm with weights that tell places apart: as it comes, and as a tower."""
    torch.manual_seed(3)
    trunk = timm.create_model("test_vit", num_classes=0, patch_size=patch, img_size=size).eval()
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        trunk.pos_embed.mul_(8)
    split = copy.deepcopy(trunk)
    split_attention(split)
    return trunk.double(), TimmViT(split.double(), dense_reading="clip")


@pytest.mark.parametrize("patch", [16, 8, 4], ids=["coarser", "same", "finer"])
def test_it_is_what_the_paper_says(tmp_path, patch):
    size = (48, 80)
    visual, split = random_towers(tmp_path, image_size=size)
    trunk, tower = random_proxy(patch, size)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    own = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([1.1, 0.9, 1.3])
    block, seen = visual.transformer.resblocks[-1], []
    block.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    expected = []
    with torch.no_grad():
        visual(images)
        for image, tokens in zip(images, seen[0], strict=True):
            pixels = torch.stack([(image[c] - own[0][c]) / own[1][c] for c in range(3)])
            features = trunk.forward_features(pixels[None])[0, trunk.num_prefix_tokens :]
            weights, left_out = weights_by_hand(features)
            assert 0 < left_out < len(weights) ** 2 - len(weights)
            attention, width = block.attn, tokens.shape[1]
            v = block.ln_1(tokens[1:]) @ attention.in_proj_weight[2 * width :].T
            v = (v + attention.in_proj_bias[2 * width :]).unflatten(0, (6, 10))
            v = resampled_by_hand(v, (48 // patch, 80 // patch))
            mean = [
                sum(share * one for share, one in zip(row, v, strict=True) if share)
                for row in weights
            ]
            output = block.ls_1(attention.out_proj(torch.stack(mean)))
            dense = visual.ln_post(output) @ visual.proj
            expected.append(dense.T.unflatten(1, (48 // patch, 80 // patch)))
        spread = partial(averaged, weights=ProxyAttention(tower, own)(images))
        clip = CLIPViT(split, dense_reading="proxyclip")
        found = clip(images, outputs=("dense",), spread=spread)["dense"]
    # Weights are computed in float32.
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "features",
    [
        torch.ones(2, 8, 3, 5),
        torch.zeros(2, 8, 3, 5),
        torch.ones(2, 8, 3, 5) + 0.01 * torch.rand(2, 8, 3, 5),
        torch.ones(1, 8, 1, 1),
    ],
    ids=["equal", "zero", "nearly equal", "one place"],
)
def test_where_all_places_are_alike_each_takes_of_all(features):
    """Their mean is above 1 / 1.2, so that no pair would be left."""
    weights = proxy_weights(features)
    count = weights.shape[1]
    assert weights.isfinite().all()
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / count), atol=1e-3, rtol=0)


def test_a_picture_without_a_left_over_pair_leaves_the_others_of_its_batch_alone():
    different = torch.eye(15).view(1, 15, 3, 5)
    both = proxy_weights(torch.cat((different, torch.ones_like(different))))
    torch.testing.assert_close(both[:1], proxy_weights(different))
    # Orthogonal places are below the mean of all: each has itself alone.
    torch.testing.assert_close(both[0].flatten(1), torch.eye(15))


@pytest.mark.parametrize("value", [0.0, 128.0, 255.0])
def test_a_picture_of_one_color_has_scores(value):
    model = build_small("DATASETS.TEST", (), *PROXY)
    with torch.no_grad():
        (result,) = model([{"image": torch.full((3, 40, 70), value), "vocabulary": "cat,dog"}])
    assert result["sem_seg"].isfinite().all()
    torch.testing.assert_close(result["sem_seg"].sum(0), torch.ones(40, 70))


def test_the_other_tower_gets_its_own_pixels_and_makes_the_grid():
    """test_vit was trained with 127.5 and 127.5 in every channel."""
    model, image, seen = build_small("DATASETS.TEST", (), *PROXY), picture(64, 64), []
    model.proxy.tower.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        views = model.normalize(image)[None]
        logits = model.logits(views, Vocabulary.parse("cat,dog"))
    torch.testing.assert_close(seen[0][0], (image - 127.5) / 127.5, atol=1e-4, rtol=1e-4)
    assert logits.shape == (1, 2, 4, 4) and model.backbone.size_divisibility == 8


def test_logits_are_cosines_of_the_averaged_values():
    model = build_small("DATASETS.TEST", (), *PROXY)
    views, words = torch.randn(2, 3, 64, 64), Vocabulary.parse("cat,dog,sky")
    with torch.no_grad():
        spread = partial(averaged, weights=model.proxy(views))
        dense = model.backbone(views, outputs=("dense",), spread=spread)["dense"]
        text = model.text_encoder(words.entries)
        expected = torch.einsum(
            "tc,bchw->bthw", F.normalize(text, dim=1), F.normalize(dense, dim=1)
        )
        logits = model.logits(views, words)
        plain = model.backbone(views, outputs=("dense",))["dense"]
    torch.testing.assert_close(logits, expected / 0.07, atol=1e-4, rtol=1e-4)
    assert plain.shape[2:] == (8, 8) and dense.shape[2:] == (4, 4)


def test_the_other_tower_does_not_train_with_clip():
    model = build_small("DATASETS.TEST", (), *PROXY, "MODEL.CLIP.FINETUNE", "full").train()
    assert not any(p.requires_grad for p in model.proxy.parameters())
    assert any(p.requires_grad for p in model.backbone.parameters())


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (READ, "expected MODEL.DENSE_CLIP.PROXY.NAME with MODEL.CLIP.DENSE_READING 'proxyclip'"),
        (
            (*PROXY, *("MODEL.CLIP.DENSE_READING", "sclip")),
            "DENSE_READING 'proxyclip' with .*sclip",
        ),
        ((*PROXY, "MODEL.META_ARCHITECTURE", "FGASeg"), "DenseCLIP with .* got 'FGASeg'"),
        ((*PROXY, "MODEL.META_ARCHITECTURE", "MGCA"), "DenseCLIP with .* got 'MGCA'"),
        ((*READ, NAME, "no such"), f"expected {NAME} to be a model"),
        (
            (*PROXY, "MODEL.DENSE_CLIP.PROXY.PRETRAINED", "no/such.pt"),
            "expected MODEL.DENSE_CLIP.PROXY.PRETRAINED",
        ),
        (
            (*PROXY, "MODEL.CLIP.NAME", small_name("resnet")),
            "expected MODEL.CLIP.NAME to be a vision transformer",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(opts, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        build_small("DATASETS.TEST", (), *opts)
    assert "\n" not in str(error.value) and "`" not in str(error.value)
