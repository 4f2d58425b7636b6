"""MGCA answers what every method does, and keeps what learning from captions promises."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.utils import make_grid

from fgaseg_d2 import OpenVocabPredictor
from fgaseg_d2.engine.optimizer import parameter_groups
from fgaseg_d2.modeling.samples import Sample
from fgaseg_d2.storybook import draw_scene
from fgaseg_d2.vocabulary import Vocabulary
from tests.conftest import ROOT, build_small, config
from tests.methods.tester import SegmentorTester, picture

MGCA = ("MODEL.META_ARCHITECTURE", "MGCA", "MODEL.CLIP.DENSE_READING", "maskclip")
CAPTIONS = ("a cat", "the sky and the sea", "a dog in front of a house", "an empty page")


def mgca(*opts, seed=0):
    """The smallest MGCA, with random weights, in evaluation mode."""
    return build_small("DATASETS.TRAIN", (), "DATASETS.TEST", (), *MGCA, *opts, seed=seed)


def open_gates(model, gate=0.5):
    """Let the convolutions have an effect."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gate"):
                parameter.fill_(gate)
    return model


def captioned(count=4):
    """A training batch."""
    return [{"image": picture(64, 64, i), "caption": CAPTIONS[i % 4]} for i in range(count)]


class TestMGCA(SegmentorTester):
    """Adaptive units, gates open, all levels."""

    opts = MGCA

    def build(self):
        return open_gates(super().build())

    def training_batch(self) -> list[Sample]:
        return captioned()


class TestMGCAOfPixels(TestMGCA):
    """Pixels alone, objects alone, windows of a canvas."""

    opts = (
        *(*MGCA, "MODEL.MGCA.UNITS.SIMILARITY", 2.0),
        *("MODEL.MGCA.LOSS.REGION_WEIGHT", 0.0, "MODEL.MGCA.LOSS.PIXEL_WEIGHT", 0.0),
        *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.CANVAS", [96, 96]),
        *("TEST.SLIDING_WINDOW.SIZE", [64, 64], "TEST.SLIDING_WINDOW.STRIDE", [32, 32]),
    )


def test_with_closed_gates_it_is_maskclip_enlarged():
    model = mgca("MODEL.MGCA.UNITS.SIMILARITY", 2.0)
    clip = build_small(
        *("MODEL.META_ARCHITECTURE", "DenseCLIP", "MODEL.CLIP.DENSE_READING", "maskclip"),
        *("DATASETS.TRAIN", (), "DATASETS.TEST", ()),
    )
    clip.load_state_dict(
        {n: t for n, t in model.state_dict().items() if n.startswith(("backbone", "text_encoder"))},
        strict=False,
    )
    views, words = torch.randn(2, 3, 64, 64), Vocabulary.parse("cat,dog,sky")
    with torch.no_grad():
        dense = clip.backbone(views, outputs=("dense",))["dense"]
        enlarged = F.interpolate(F.normalize(dense, dim=1), scale_factor=4, mode="nearest")
        torch.testing.assert_close(model.embed(views), enlarged, atol=1e-5, rtol=0)
        cosines = torch.einsum("bchw,tc->bthw", enlarged, clip.text_encoder(words.entries))
        torch.testing.assert_close(
            model.logits(views, words), 10 * cosines - 2.5, atol=1e-4, rtol=0
        )
        assert (open_gates(model).embed(views) - enlarged).abs().max() > 0.01


def test_only_the_decoder_and_the_numbers_of_the_losses_train():
    model = mgca("MODEL.CLIP.FINETUNE", "full")
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {
        n for n, _ in model.named_parameters() if not n.startswith(("backbone.", "text_encoder."))
    }
    assert {"grounding.sharpness", "grounding.offset", "criterion.log_scale"} <= trained


def test_every_trained_parameter_moves_with_open_gates_and_no_convolution_with_closed_ones():
    for gate, moving in ((0.5, True), (0.0, False)):
        model = open_gates(mgca(), gate).train()
        sum(model(captioned()).values()).backward()
        moved = {n: bool(p.grad.any()) for n, p in model.named_parameters() if p.requires_grad}
        inside = {n for n in moved if n.startswith("decoder.blocks") and not n.endswith("gate")}
        assert inside and {moved[n] for n in inside} == {moving}
        assert all(moved[n] for n in moved.keys() - inside)


def test_a_clip_that_is_loaded_later_gives_the_decoder_its_projection():
    first, second = mgca(seed=1), mgca(seed=2)
    tower = {n: t for n, t in first.state_dict().items() if n.startswith("backbone.")}
    missing = second.load_state_dict(tower, strict=False).missing_keys
    assert torch.equal(second.decoder.projection, first.backbone.visual.proj)
    assert "decoder.projection" not in missing and "decoder.norm.weight" not in missing
    with torch.no_grad():
        first.decoder.projection.add_(1)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.decoder.projection, first.decoder.projection)


def test_it_trains_on_captions_alone():
    assert mgca().sample_kinds == ("captioned",)


def test_a_model_with_units_cannot_be_recorded():
    model, words = mgca().requires_grad_(False), Vocabulary.parse("cat,dog")
    named = pytest.raises(ValueError, match="MODEL.MGCA.UNITS.SIMILARITY above 1")
    with torch.no_grad(), named:
        torch.jit.trace(lambda x: model.logits(x, words), torch.randn(1, 3, 64, 64))


def test_the_small_model_of_the_package_segments_by_words():
    predictor = OpenVocabPredictor("mgca_tiny", device="cpu")
    scene = draw_scene(95_000_001, 128, 160)
    found = predictor(scene.image, "sky,meadow,house,sea")
    assert found.labels.shape == (128, 160) and len(set(found.labels.ravel().tolist())) > 1
    part = ROOT / "fgaseg_d2/weights/storybook_mgca.safetensors"
    assert part.stat().st_size < 4 * 2**20


def test_pictures_of_a_mosaic_are_seen_at_once_and_matched_each_with_its_own_caption():
    model, batch = open_gates(mgca("MODEL.MGCA.MOSAIC", 2)).train(), captioned()
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    losses = model.losses(batch)
    (views,) = seen
    alone = model.training_images(batch)
    torch.testing.assert_close(views, make_grid(alone, nrow=2, padding=0)[None])
    maps = model.embed(views)
    quarters = [maps[0, :, y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)]
    texts = model.text_encoder.encode_sentences([item["caption"] for item in batch])
    expected = model.criterion(torch.stack(quarters), texts, model.grounding, 0)
    assert losses.keys() == expected.keys() and len(losses) == 5
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name])


def test_pictures_that_fill_no_mosaic_are_told_apart_from_those_that_do():
    with pytest.raises(ValueError, match=r"expected MODEL\.MGCA\.MOSAIC 2 .* got 3; change"):
        mgca("MODEL.MGCA.MOSAIC", 2).train().losses(captioned(3))


def test_gates_masks_and_temperature_learn_at_a_rate_of_their_own_and_do_not_decay():
    model = mgca("MODEL.MGCA.MASK.SHARPNESS", 8.0, "MODEL.MGCA.MASK.OFFSET", -4.5)
    assert model.grounding(torch.tensor(0.5)).item() == pytest.approx(8 * 0.5 - 4.5)
    rates = ("SOLVER.BASE_LR", 0.1, "SOLVER.LR_MULTIPLIERS.SCALARS", 20.0)
    cfg = config("configs/mgca/base.yaml", *rates)
    groups = parameter_groups(cfg, model)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    names = {name for name, p in model.named_parameters() if found.get(id(p)) == (2.0, 0.0)}
    gates = {f"decoder.blocks.{b}.{c}.gate" for b in (0, 1) for c in ("first", "second")}
    assert names == gates | {"grounding.sharpness", "grounding.offset", "criterion.log_scale"}
    assert found[id(model.decoder.projection)] == (0.1, 0.05)
