"""The smallest CLIP of every family under the methods: pictures, training, files, bfloat16."""

import functools

import pytest
import torch
from detectron2.modeling import build_backbone

from tests.conftest import build_small, config
from tests.methods.tester import WORDS, picture
from tests.towers import FAMILIES, IMAGE_ONLY, PYRAMIDS, size_of, small_clip, small_name

DENSE = ("MODEL.META_ARCHITECTURE", "DenseCLIP")
LDVC = (
    *("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.CLIP.FINETUNE", "frozen"),
    *("MODEL.CLIP.DENSE_READING", "clip", "MODEL.LDVC.HEADS", 4, "MODEL.LDVC.PROMPTS", "vision"),
)


def build(family, *opts, size=None):
    height, width = size or size_of(family)
    return build_small(
        *("MODEL.CLIP.NAME", small_clip(family), "MODEL.CLIP.IMAGE_SIZE", [height, width]),
        *("DATASETS.TEST", (), *opts),
    )


@functools.cache
def segmenter(family, *opts):
    return build(family, *opts)


def batch():
    labels = torch.arange(64 * 64).view(64, 64) % 3
    return [
        {"image": picture(64, 64, index), "sem_seg": labels, "vocabulary": WORDS}
        for index in range(2)
    ]


@pytest.mark.parametrize("opts", [(), DENSE], ids=["FGASegHead", "DenseCLIPHead"])
@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_become_scores_alone_as_in_a_batch(family, opts):
    model = segmenter(family, *opts)
    inputs = [
        {"image": picture(50, 80), "vocabulary": WORDS},
        {"image": picture(90, 41, 1), "vocabulary": WORDS},
    ]
    with torch.no_grad():
        together = [result["sem_seg"] for result in model(inputs)]
        for item, expected in zip(inputs, together, strict=True):
            assert expected.shape == (4, *item["image"].shape[1:])
            assert 0 <= expected.min() <= expected.max() <= 1
            (alone,) = model([item])
            torch.testing.assert_close(alone["sem_seg"], expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("opts", [(), DENSE], ids=["FGASegHead", "DenseCLIPHead"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_step_reaches_all_that_trains(family, opts):
    model = build(family, "MODEL.CLIP.FINETUNE", "full", *opts).train()
    losses = model(batch())
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    named = dict(model.named_parameters())
    assert [n for n, p in named.items() if p.requires_grad and p.grad is None] == []
    assert [n for n, p in named.items() if not p.requires_grad and p.grad is not None] == []
    assert any(name.startswith("backbone.") for name, p in named.items() if p.requires_grad)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_stays_close(family):
    model, item = segmenter(family, *DENSE), {"image": picture(64, 64), "vocabulary": WORDS}
    with torch.no_grad():
        (expected,) = model([item])
        model.autocast_dtype = torch.bfloat16
        (actual,) = model([item])
    model.autocast_dtype = None
    torch.testing.assert_close(actual["sem_seg"], expected["sem_seg"], atol=0.1, rtol=0)


@pytest.mark.parametrize("family", ["eva02", "siglip2", "convnext"])
def test_weights_go_round_through_a_file(family, tmp_path):
    first, second = build(family), build(family)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(0.1)
    torch.save(first.state_dict(), tmp_path / "model.pth")
    second.load_state_dict(torch.load(tmp_path / "model.pth"))
    item = {"image": picture(64, 64), "vocabulary": WORDS}
    with torch.no_grad():
        torch.testing.assert_close(second([item])[0]["sem_seg"], first([item])[0]["sem_seg"])


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in PYRAMIDS])
def test_ldvcs_prompts_go_through_any_vision_transformer(family):
    model = build(family, *LDVC).train()
    losses = model(batch())
    sum(losses.values()).backward()
    assert model.vision_prompts.tokens.grad.any(1).all()


def test_ldvc_says_that_a_convnext_takes_no_prompts():
    with pytest.raises(ValueError, match="expected a tower of transformer blocks"):
        build("convnext", *LDVC)


@pytest.mark.parametrize("family", (*FAMILIES, *IMAGE_ONLY))
def test_the_tower_alone_is_a_detectron2_backbone(family):
    """And it brings its own size where none is set."""
    opts = ("MODEL.CLIP.NAME", small_name(family), "MODEL.CLIP.DENSE_READING", "clip")
    tower = build_backbone(config("tests/data/small.yaml", *opts)).eval()
    assert tower.size_divisibility == max(s.stride for s in tower.output_shape().values())
    with torch.no_grad():
        maps = tower(torch.zeros(1, 3, *size_of(family)))
    for name, shape in tower.output_shape().items():
        assert maps[name].shape[1] == shape.channels
        assert maps[name].shape[2] * shape.stride == size_of(family)[0]


@pytest.mark.parametrize(
    ("family", "size", "mean"),
    [("eva02", (224, 224), 122.77), ("siglip2", (256, 256), 122.77), ("clipa", (224, 224), 122.77)],
)
def test_without_a_size_a_model_sees_what_its_tower_was_made_for(family, size, mean):
    model = build_small(
        *("MODEL.CLIP.NAME", small_clip(family), "MODEL.CLIP.IMAGE_SIZE", [], *DENSE),
    )
    assert model.image_size == size
    assert abs(model.pixel_mean[0] - mean) < 0.01


def test_words_need_a_clip_with_a_text_tower():
    opts = ("MODEL.CLIP.NAME", small_name("dinov2"), "MODEL.CLIP.IMAGE_SIZE", [56, 56])
    with pytest.raises(ValueError, match=r"expected MODEL\.CLIP\.NAME to be a CLIP with a text"):
        build_small(*opts)
