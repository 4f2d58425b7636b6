"""USE answers what every method does, and embeds segments as its paper says."""

import numpy as np
import pytest
import torch
import yaml
from detectron2.utils.events import EventStorage
from torch.nn import functional as F

from fgaseg_d2 import Vocabulary
from fgaseg_d2.config import load_config
from fgaseg_d2.config.values import value_of
from fgaseg_d2.methods.use.head import USEHead
from fgaseg_d2.methods.use.losses import SegmentTextLoss, text_keys
from fgaseg_d2.methods.use.samples import inherited
from fgaseg_d2.methods.use.towers import level_blocks
from fgaseg_d2.modeling.layers.area_pooling import area_shares, mask_means
from tests.conftest import ROOT, build_small, config
from tests.methods.tester import SegmentorTester, picture
from tests.towers import small_name

SMALL_CLIP = str(ROOT / "tests/data/clip/Small-ViT-8.json")
USE = (
    *("MODEL.META_ARCHITECTURE", "USE", "MODEL.CLIP.FINETUNE", "frozen"),
    *("MODEL.USE.DIM", 32, "MODEL.USE.LEVELS", 2),
)
TWO_TOWERS = [{"name": "clip"}, {"name": SMALL_CLIP, "blocks": [2], "mean": [100.0, 110.0, 120.0]}]

SEGMENT_FILE = ("TEST.PROPOSALS.FILE", "segments.jsonl")


class SegmentTester(SegmentorTester):
    """Its training samples have segments."""

    def training_batch(self):
        """Two pictures; masks of other sizes that overlap, one of them empty."""
        batch = []
        for index in range(2):
            masks = torch.zeros(3, 40, 56, dtype=torch.bool)
            masks[0, 4:30, 3:41] = True
            masks[1, 20:, 20:] = True
            batch.append(
                {
                    "image": picture(64, 64, index),
                    "segments": masks,
                    "texts": ["a cat", f"dog {index}", "nothing"],
                }
            )
        return batch


class TestUSE(SegmentTester):
    """One tower, two levels, the global embedding, the contrastive loss."""

    opts = USE


class TestUSEWithTwoTowers(SegmentTester):
    """A second tower with other pixels; the sigmoid loss; no global embedding."""

    opts = (
        *(*USE, "MODEL.USE.TOWERS", TWO_TOWERS, "MODEL.USE.LOSS", "sigmoid"),
        *("MODEL.USE.GLOBAL", False),
    )


class TestUSEOnLabelMaps(SegmentorTester):
    """The classes of a label map are its segments; the last level alone."""

    opts = (*USE, "MODEL.USE.LEVEL_MERGE", False)


def use(*opts, seed=0):
    """The smallest USE, with random weights, in evaluation mode."""
    return build_small("DATASETS.TRAIN", (), "DATASETS.TEST", (), *USE, *opts, seed=seed)


def shares_by_loops(mask, grid):
    """Area of each mask in each cell over the cell's, cut by cut."""
    height, width = mask.shape
    result = np.zeros(grid)
    for i in range(grid[0]):
        for j in range(grid[1]):
            top, bottom = i * height / grid[0], (i + 1) * height / grid[0]
            left, right = j * width / grid[1], (j + 1) * width / grid[1]
            area = 0.0
            for y in range(height):
                for x in range(width):
                    if mask[y, x]:
                        down = max(0.0, min(bottom, y + 1) - max(top, y))
                        across = max(0.0, min(right, x + 1) - max(left, x))
                        area += down * across
            result[i, j] = area / ((bottom - top) * (right - left))
    return result


# Smaller than the grid, larger, no multiple of it, a single row.
@pytest.mark.parametrize("size", [(3, 5), (13, 22), (16, 24), (1, 9)])
@pytest.mark.parametrize("kind", ["random", "all", "pixel"])
def test_shares_are_exact_areas(size, kind):
    mask = np.ones(size, bool)
    if kind == "random":
        mask = np.random.default_rng(0).random(size) < 0.4
    if kind == "pixel":
        mask = np.zeros(size, bool)
        mask[-1, 2] = True
    grid = (4, 6)
    expected = shares_by_loops(mask, grid)
    found = area_shares(torch.from_numpy(mask)[None], grid)[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert found.sum() / 24 == pytest.approx(mask.mean(), abs=1e-6)


def test_means_over_masks_are_those_over_pixels():
    """A map that is laid out in pixels, averaged pixel by pixel: each cell is 3 x 2 of them."""
    rng = np.random.default_rng(1)
    maps = rng.standard_normal((5, 4, 6))
    masks = rng.random((7, 12, 12)) < 0.3
    pixels = maps.repeat(3, 1).repeat(2, 2)
    shares = area_shares(torch.from_numpy(masks), (4, 6))
    found = mask_means(shares, torch.from_numpy(maps))
    for mask, mean in zip(masks, found):
        rows, columns = mask.nonzero()
        expected = sum(pixels[:, y, x] for y, x in zip(rows, columns)) / len(rows)
        np.testing.assert_allclose(mean.numpy(), expected, atol=1e-5)


def test_segments_are_pooled_patches_and_empty_ones_are_left_out():
    torch.manual_seed(0)
    head = USEHead(levels={"a": 6, "b": 4}, wholes={"c": 5}, dim=8, embed_dim=3).eval()
    features = {
        "a": torch.randn(1, 6, 2, 3),
        "b": torch.randn(1, 4, 4, 6),
        "c": torch.randn(1, 5),
    }
    masks = torch.zeros(4, 8, 12, dtype=torch.bool)
    masks[0] = True
    masks[2, 2:7, 3:5], masks[3, 4:, :] = True, True
    with torch.no_grad():
        patches = head.patches(features)[0]
        found, kept = head.segments(patches, masks)
    assert patches.shape == (4, 6, 8) and kept.tolist() == [0, 2, 3]

    def lln(module, x):
        x = x @ module[0].weight.detach().numpy().T
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * module[1].weight.detach().numpy() + module[1].bias.detach().numpy()

    a = lln(head.levels["a"], features["a"][0].permute(1, 2, 0).numpy()) / 8
    # From 2 x 3 to 4 x 6 cells, bilinear.
    a = F.interpolate(torch.from_numpy(a).permute(2, 0, 1)[None], (4, 6), mode="bilinear")[0]
    b = lln(head.levels["b"], features["b"][0].permute(1, 2, 0).numpy()) / 8
    c = lln(head.wholes["c"], features["c"][0].numpy()) / 8
    expected = a.permute(1, 2, 0).numpy() + b + c
    np.testing.assert_allclose(patches.numpy(), expected, atol=1e-5)
    for row, index in zip(found.numpy(), kept.tolist()):
        weights = shares_by_loops(masks[index].numpy(), (4, 6))
        mean = (weights[..., None] * expected).sum((0, 1)) / weights.sum()
        embedding = mean @ head.embed.weight.detach().numpy().T + head.embed.bias.detach().numpy()
        np.testing.assert_allclose(row, embedding / np.linalg.norm(embedding), atol=1e-5)


def test_a_segment_of_the_whole_picture_and_a_patch_of_its_own():
    """A mask of exactly one patch has the embedding of the dense reading there."""
    model = use()
    views = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        patches = model._patches(views)
        dense = model.sem_seg_head.dense(patches)
        mask = torch.zeros(1, 64, 64, dtype=torch.bool)
        mask[0, 8:16, 24:32] = True
        found, _ = model.sem_seg_head.segments(patches[0], mask)
    torch.testing.assert_close(found[0], dense[0, :, 1, 3], atol=1e-5, rtol=1e-4)


def test_equal_texts_are_positives_of_each_other():
    torch.manual_seed(0)
    segments, texts = (F.normalize(torch.randn(4, 6), dim=-1) for _ in range(2))
    keys = text_keys(["Red  house", "tree", "red house ", "sky"], torch.device("cpu"))
    found = SegmentTextLoss("contrastive", 0.07)(segments, texts, keys)
    names, logits = ["h", "t", "h", "s"], (segments @ texts.T / 0.07).numpy()
    total = 0.0
    for matrix in (logits, logits.T):
        for i in range(4):
            positives = [j for j in range(4) if names[j] == names[i]]
            log_sum = np.log(np.exp(matrix[i]).sum())
            total -= sum(matrix[i, j] - log_sum for j in positives) / len(positives)
    assert found.item() == pytest.approx(total / 8, rel=1e-5)


def test_the_sigmoid_loss_is_a_yes_or_no_of_each_pair():
    torch.manual_seed(0)
    segments, texts = (F.normalize(torch.randn(3, 6), dim=-1) for _ in range(2))
    loss = SegmentTextLoss("sigmoid", 0.07)
    found = loss(segments, texts, text_keys(["a", "b", "A"], torch.device("cpu")))
    total = 0.0
    for i in range(3):
        for j in range(3):
            z = 1 if "aba"[i] == "aba"[j] else -1
            total += np.log1p(np.exp(-z * (10 * float(segments[i] @ texts[j]) - 10)))
    assert found.item() == pytest.approx(total / 3, rel=1e-5)


def test_the_scale_stays_within_clips_bound():
    loss = SegmentTextLoss("contrastive", 0.07)
    assert loss.scale.item() == pytest.approx(1 / 0.07, rel=1e-5)
    with torch.no_grad():
        loss.log_scale.fill_(20)
    assert loss.scale.item() == pytest.approx(100)


def test_half_precision_leaves_the_logits_of_segments_as_they_are():
    """Of the same embeddings: scores of inference, and the loss of the training with gradients."""
    model = use("TEST.PROPOSALS.KIND", "given", "MODEL.USE.TEMPERATURE", 0.01)
    torch.manual_seed(0)
    segments, texts = (F.normalize(torch.randn(7, 32), dim=-1) for _ in range(2))
    # Words that lie close, as CLIP's do.
    texts = F.normalize(texts[:1] + 0.02 * texts, dim=-1)
    masks = torch.ones(7, 8, 8, dtype=torch.bool)
    model.sem_seg_head.segments = lambda *_: (segments, torch.arange(7))
    item, patches = {"image": picture(64, 64), "segments": masks}, torch.zeros(8, 8, 32)

    def scores_and_loss(half):
        leaf = segments.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found = model._segment_scores(item, patches, texts).scores.detach()
            loss = model.loss(leaf, texts, torch.arange(7))
        loss.backward()
        return found, loss.detach(), leaf.grad

    for half, full in zip(scores_and_loss(True), scores_and_loss(False), strict=True):
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, full, atol=0, rtol=0)
    expected = np.exp(100 * segments.double().numpy() @ texts.double().numpy().T)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(scores_and_loss(True)[0].numpy(), expected, atol=1e-4)


def test_empty_masks_are_counted_and_a_batch_of_nothing_trains_on():
    model = use().train()
    item = {"image": picture(64, 64), "segments": torch.zeros(2, 30, 30), "texts": ["a", "b"]}
    with EventStorage(0) as storage:
        loss = model([item])["loss_segments"]
        assert storage.latest()["segments/empty"][0] == 2
    loss.backward()
    assert loss.item() == 0


def test_only_so_many_segments_of_a_picture_are_trained_on():
    model = use("MODEL.USE.MAX_SEGMENTS", 3).train()
    item = {"image": picture(64, 64), "segments": torch.ones(9, 8, 8), "texts": list("abcdefghi")}
    with EventStorage(0) as storage:
        model([item, item])
        assert storage.latest()["segments/trained_on"][0] == 6


def test_a_piece_has_the_text_of_the_segment_that_covers_more_than_half_of_it():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 40, (8, 6)).repeat(3, 0).repeat(5, 1)
    owners = rng.integers(-1, 3, (12, 10)).repeat(2, 0).repeat(3, 1)
    pieces = torch.from_numpy(labels == np.arange(40)[:, None, None])
    masks = torch.from_numpy(owners == np.arange(3)[:, None, None])
    expected = {}
    for piece in range(40):
        below = owners[labels == piece].tolist()
        for owner, text in enumerate(("cat", "sky", "red house")):
            if 2 * below.count(owner) > len(below):
                expected[piece] = text
    assert 5 < len(expected) < 40
    found, texts = inherited(pieces, masks, ["cat", "sky", "red house"])
    assert texts == list(expected.values())
    assert torch.equal(found, pieces[list(expected)])
    # Masks of half the height and a third of the width say the same.
    small, others = inherited(pieces, masks[:, ::2, ::3], ["cat", "sky", "red house"])
    assert torch.equal(small, found) and others == texts
    assert [len(part) for part in inherited(pieces, masks[:0], [])] == [0, 0]


def test_training_takes_pieces_besides_the_segments():
    pytest.importorskip("skimage")
    opts = ("TEST.PROPOSALS.SUPERPIXELS", 20, "TEST.PROPOSALS.CACHE", 0)
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, :40], masks[1, 40:, :50] = True, True
    image = picture(8, 8).repeat_interleave(8, 1).repeat_interleave(8, 2)
    item = {"image": image, "segments": masks, "texts": ["sky", "sea"]}
    taken = []
    for pieces in (0, 5, 500):
        model = use(*opts, "MODEL.USE.PIECES", pieces).train()
        with EventStorage(0) as storage:
            model([item])["loss_segments"].backward()
            taken.append(storage.latest()["segments/trained_on"][0] - 2)
        assert model.sem_seg_head.embed.weight.grad.abs().sum() > 0
    found = len(inherited(model.proposals(item), masks, ["sky", "sea"])[0])
    assert taken == [0, 5, found] and 5 < found <= len(model.proposals(item))


def test_training_never_sees_an_unseen_class_of_a_label_map():
    model = use().train()
    model.unseen = frozenset({"dog"})
    label = torch.arange(4).repeat_interleave(16)[:, None].expand(64, 64)
    item = {"image": picture(64, 64), "sem_seg": label, "vocabulary": Vocabulary.parse("cat,dog")}
    item["sem_seg"] = torch.where(label > 1, 255, label)
    seen = []
    model.text_encoder.register_forward_pre_hook(lambda _, given: seen.extend(given[0]))
    model([item])
    assert seen == [("cat",)]


def test_roles_tell_the_towers_from_what_trains():
    model = use("MODEL.USE.TOWERS", TWO_TOWERS)
    roles = model.parameter_roles()
    assert not any(p.requires_grad for p in roles["clip"])
    assert all(p.requires_grad for p in roles["head"])
    names = {n.partition(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert names == {"sem_seg_head", "loss"}


def test_a_tower_gets_its_own_pixels():
    """The same weights, told that their pixels have another mean: as if that were taken off."""
    model = use(
        "MODEL.USE.TOWERS", [{"name": "clip"}, {"name": SMALL_CLIP, "mean": [0.0, 0.0, 0.0]}]
    )
    image = picture(64, 64)
    seen = []
    model.other_towers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model([{"image": image, "vocabulary": "cat,dog"}])
    expected = (image - 0) / model.pixel_std
    torch.testing.assert_close(seen[0][0], expected, atol=1e-4, rtol=1e-4)


def test_a_tower_of_timm_stands_beside_clip_on_the_finer_grid_with_its_own_pixels():
    """DINOv2's pictures are normalised as ImageNet's, and its patches need not divide the size."""
    name = small_name("dinov2")
    model = use("MODEL.USE.TOWERS", [{"name": "clip"}, {"name": name, "mean": [1.0, 2.0, 3.0]}])
    image, seen = picture(64, 64), []
    model.other_towers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        patches = model._patches(model._view({"image": image}))
    patch = model.other_towers[0].size_divisibility
    assert patches.shape == (1, 8, 8, 32) and seen[0].shape[2] == round(64 / patch) * patch
    alone = use("MODEL.USE.TOWERS", [{"name": name}], "MODEL.CLIP.IMAGE_SIZE", [56, 56])
    assert len(alone.other_towers) == 0 and alone.backbone.size_divisibility == patch


@pytest.mark.parametrize(
    ("depth", "count", "expected"),
    [(24, 4, [6, 12, 18, 24]), (12, 4, [3, 6, 9, 12]), (4, 4, [1, 2, 3, 4]), (2, 4, [1, 2])],
)
def test_levels_are_the_quarters(depth, count, expected):
    assert level_blocks(depth, [], count) == expected


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (("MODEL.CLIP.FINETUNE", "attention"), "expected MODEL.CLIP.FINETUNE 'frozen'"),
        (("TEST.SLIDING_WINDOW.ENABLED", True), "SLIDING_WINDOW.ENABLED False"),
        (
            ("MODEL.USE.PIECES", 4, "TEST.PROPOSALS.KIND", "given"),
            "KIND superpixels or sam with MODEL.USE.PIECES above 0, got 'given'; set ",
        ),
        (
            (*("MODEL.USE.PIECES", 4, "TEST.PROPOSALS.KIND", "file"), *SEGMENT_FILE),
            "KIND superpixels or sam with MODEL.USE.PIECES above 0, got 'file'; set ",
        ),
        (
            ("MODEL.USE.TOWERS", [{"name": "clip", "blocks": [9]}]),
            r"MODEL.USE.TOWERS ascending from 1 to 4",
        ),
        (("MODEL.USE.TOWERS", [{"name": "clip"}, {"name": "clip"}]), "of different names"),
        (("MODEL.USE.TOWERS", [{"name": "no such"}]), "expected MODEL.USE.TOWERS to be a model"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(opts, message):
    with pytest.raises(ValueError, match=message) as error:
        use(*opts)
    assert "\n" not in str(error.value)


def test_kept_features_are_read_again_and_decided_by_weights_and_pixels(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    batch = TestUSE().training_batch()
    folder = tmp_path / "fgaseg_d2" / "features"

    def loss(model):
        calls = []
        handle = model.backbone.register_forward_pre_hook(lambda *_: calls.append(1))
        found = model.train()(batch)["loss_segments"].item()
        handle.remove()
        return found, len(calls)

    model = use("MODEL.USE.FEATURE_CACHE", 4)
    first, again, other_run = loss(model), loss(model), loss(use("MODEL.USE.FEATURE_CACHE", 4))
    assert (first[1], again[1], other_run[1]) == (1, 0, 0)
    assert first[0] == again[0] == other_run[0]
    assert len(list(folder.iterdir())) == 2
    # Half precision on disk.
    assert first[0] == pytest.approx(loss(use())[0], rel=1e-2)
    with torch.no_grad():
        model.backbone.visual.conv1.weight.mul_(2)
    assert loss(model)[1] == 1
    assert len(list(folder.iterdir())) == 4


def test_the_real_size_is_read():
    cfg = config("configs/use/vitl14_dinov2.yaml")
    assert cfg.MODEL.CLIP.NAME == "ViT-L-14-quickgelu" and cfg.MODEL.USE.DIM == 1024
    assert [item["name"] for item in cfg.MODEL.USE.TOWERS] == ["clip", "vit_large_patch14_dinov2"]
    assert list(cfg.MODEL.CLIP.IMAGE_SIZE) == [448, 448]


ROWS = yaml.safe_load((ROOT / "configs/use/ablations.yaml").read_text(encoding="utf-8"))["ROWS"]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_changes_what_it_names(name):
    row, base = (
        load_config(str(ROOT / f"configs/use/{file}.yaml"))
        for file in (f"ablations/{name}", "storybook")
    )
    for key, value in (ROWS[name] or {}).items():
        assert value_of(row, key) == value != value_of(base, key)
