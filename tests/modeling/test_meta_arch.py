"""FGASeg as a whole: batches, sizes, vocabularies, precision, Detectron2's own predictor."""

import numpy as np
import pytest
import torch
from detectron2.engine import DefaultPredictor
from torch.nn import functional as F

from fgaseg_d2 import Vocabulary
from fgaseg_d2.modeling.losses.labels import sample_classes
from tests.conftest import build_small, config

FAST = ("MODEL.FGASEG.FAST.ENABLED", True, "MODEL.FGASEG.FAST.KEEP", 2)
SLIDING = (
    *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.CANVAS", [96, 96]),
    *("TEST.SLIDING_WINDOW.SIZE", [64, 64], "TEST.SLIDING_WINDOW.STRIDE", [32, 32]),
)


def picture(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, height, width, generator=generator) * 255


def segment(model, *inputs):
    with torch.no_grad():
        return [result["sem_seg"] for result in model(list(inputs))]


KEEP = ("MODEL.FGASEG.KEEP_CLASSES", 2)


@pytest.mark.parametrize("opts", [(), FAST, SLIDING, KEEP, (*SLIDING, "TEST.MAX_VIEWS", 3)])
def test_a_batch_equals_its_pictures_one_by_one(opts):
    """Different sizes, shapes and words in one batch."""
    model = build_small(*opts)
    inputs = [
        {"image": picture(50, 80), "vocabulary": "cat,dog,sky,sea,tree"},
        {"image": picture(90, 41, 1), "vocabulary": "cat,dog,sky,sea,tree"},
        {"image": picture(64, 64, 2), "vocabulary": "house", "height": 20, "width": 30},
    ]
    together = segment(model, *inputs)
    assert [tuple(x.shape) for x in together] == [(5, 50, 80), (5, 90, 41), (1, 20, 30)]
    for item, expected in zip(inputs, together, strict=True):
        (alone,) = segment(model, item)
        torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-4)


def test_views_in_several_passes_give_the_same():
    item = {"image": picture(50, 80), "vocabulary": "cat,dog,sky"}
    (together,) = segment(build_small(*SLIDING, "TEST.MAX_VIEWS", 100), item)
    (in_turn,) = segment(build_small(*SLIDING, "TEST.MAX_VIEWS", 2), item)
    torch.testing.assert_close(in_turn, together, atol=1e-5, rtol=1e-4)


def test_pixels_come_back_where_they_belong():
    """A sign of where the picture changes: the scores change there and nearly nowhere else."""
    model = build_small("MODEL.FGASEG.AGGREGATION_LAYERS", 0, "MODEL.FGASEG.P2T.LAYERS", 0, seed=0)
    # Attention spreads a change over all tokens; what the values carry stays where it is.
    for block in model.backbone.visual.transformer.resblocks:
        torch.nn.init.zeros_(block.attn.out_proj.weight)
    plain = torch.full((3, 70, 150), 100.0)
    touched = plain.clone()
    touched[:, 50:60, 120:140] = 250
    before, after = segment(
        model, *({"image": x, "vocabulary": "cat,dog"} for x in (plain, touched))
    )
    change = (after - before).abs().sum(0)
    total = change.sum()
    y, x = torch.meshgrid(torch.arange(70.0), torch.arange(150.0), indexing="ij")
    # Within a token, of which the picture has 8 x 8.
    assert (change * y).sum() / total == pytest.approx(54.5, abs=70 / 8)
    assert (change * x).sum() / total == pytest.approx(129.5, abs=150 / 8)


def test_scores_are_probabilities_of_the_named_classes():
    words = Vocabulary.parse("cat|kitten,dog").with_background(["wall"], threshold=0.4)
    (scores,) = segment(build_small(), {"image": picture(30, 40), "vocabulary": words})
    assert scores.shape == (3, 30, 40)
    assert words.class_names == ("cat", "dog", "background")
    assert 0 <= scores.min() <= scores.max() <= 1
    assert scores[2].min() >= 0.4 - 1e-6  # resized after it


def test_synonyms_give_the_best_of_their_scores():
    model, image = build_small(), picture(32, 32)  # the logits' size: nothing is resized after
    (apart,) = segment(model, {"image": image, "vocabulary": "cat,kitten,dog"})
    (together,) = segment(model, {"image": image, "vocabulary": "cat|kitten,dog"})
    assert (apart[0] - apart[1]).abs().max() > 1e-4
    # The class attention sees the same three entries; only the reduction differs.
    torch.testing.assert_close(together, torch.stack((apart[:2].amax(0), apart[2])))


def test_the_vocabulary_changes_between_calls_and_after_training():
    model, image = build_small("MODEL.CLIP.FINETUNE", "scratch"), picture(64, 64)
    (first,) = segment(model, {"image": image, "vocabulary": "cat,dog"})
    (other,) = segment(model, {"image": image, "vocabulary": "sea,sky"})
    assert not torch.allclose(first, other)
    (again,) = segment(model, {"image": image, "vocabulary": "cat,dog"})
    assert torch.equal(first, again)
    optimizer = torch.optim.SGD(model.text_encoder.parameters(), lr=10.0)
    target = torch.randint(0, 2, (64, 64), generator=torch.Generator().manual_seed(0))
    model.train()
    sum(model([{"image": image, "sem_seg": target, "vocabulary": "cat,dog"}]).values()).backward()
    optimizer.step()
    model.eval()
    (trained,) = segment(model, {"image": image, "vocabulary": "cat,dog"})
    assert not torch.allclose(first, trained)


def test_no_words_at_all_is_an_error():
    model = build_small("DATASETS.TEST", ())
    with pytest.raises(ValueError, match="expected words to look for, got none"):
        segment(model, {"image": picture(20, 20)})


def test_the_configuration_may_bring_the_words():
    model = build_small("MODEL.FGASEG.VOCABULARY", "red house, sea,sky")
    assert segment(model, {"image": picture(20, 20)})[0].shape[0] == 3


def test_a_training_batch_has_one_vocabulary():
    model = build_small().train()
    item = {"image": picture(64, 64), "sem_seg": torch.zeros(64, 64, dtype=torch.long)}
    with pytest.raises(ValueError, match="one vocabulary in a training batch, got 2"):
        model([item | {"vocabulary": "cat,dog"}, item | {"vocabulary": "cat,fish"}])


def test_padding_of_a_training_batch_is_ignored():
    """Smaller pictures are padded to the largest, with pixels that no loss counts."""
    model = build_small("MODEL.FGASEG.LOSS.IGNORED_AS_NEGATIVE", False).train()
    item = {"image": picture(64, 64), "sem_seg": torch.zeros(64, 64, dtype=torch.long)}
    small = {"image": picture(64, 40), "sem_seg": torch.zeros(64, 40, dtype=torch.long)}
    seen = []
    model.criterion.register_forward_hook(lambda _, args, out: seen.append(args[1]))
    model([item | {"vocabulary": "cat,dog"}, small | {"vocabulary": "cat,dog"}])
    assert seen[0].shape == (2, 64, 64)
    assert (seen[0][1, :, 40:] == 255).all()
    assert (seen[0][1, :, :40] == 0).all()


def test_sampled_classes_keep_those_of_the_batch_and_renumber():
    entries = tuple((f"class {number}",) for number in range(50))
    targets = torch.tensor([[[7, 31, 255], [49, 7, 31]]])
    for _ in range(5):
        chosen, renumbered = sample_classes(entries, targets, 4, 255)
        assert len(chosen) == 4
        names = [None if t == 255 else chosen[t][0] for t in renumbered.flatten().tolist()]
        assert names == ["class 7", "class 31", None, "class 49", "class 7", "class 31"]


def test_training_with_more_classes_than_the_head_takes():
    """The classes of the batch are always among those that the head keeps."""
    model = build_small("MODEL.FGASEG.MAX_CLASSES", 8).train()
    words = ",".join(f"class {number}" for number in range(300))
    target = torch.full((64, 64), 299)
    inputs = [{"image": picture(64, 64), "sem_seg": target, "vocabulary": words}]
    losses = model(inputs)
    assert losses["loss_sem_seg"] < 5
    assert model.eval()(inputs)[0]["sem_seg"].shape[0] == 300


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_stays_close_to_full_precision(dtype):
    model, item = build_small(), {"image": picture(64, 64), "vocabulary": "cat,dog,sky"}
    (expected,) = segment(model, item)
    with torch.autocast("cpu", dtype):
        (outside,) = segment(model, item)
    assert outside.dtype == torch.float32
    torch.testing.assert_close(outside, expected, atol=0.05, rtol=0)
    model.autocast_dtype = dtype
    (inside,) = segment(model, item)
    torch.testing.assert_close(inside, outside)
    model.train()
    target = torch.zeros(64, 64, dtype=torch.long)
    with torch.autocast("cpu", dtype):
        losses = model([item | {"sem_seg": target}])
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_detectron2s_own_predictor(tmp_path):
    cfg = config("tests/data/small.yaml", "MODEL.FGASEG.VOCABULARY", "cat,dog")
    predictor = DefaultPredictor(cfg)
    image = np.random.RandomState(0).randint(0, 256, (60, 90, 3), np.uint8)
    assert predictor(image)["sem_seg"].shape == (2, 60, 90)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_agrees_with_the_cpu():
    item = {"image": picture(50, 70), "vocabulary": "cat,dog,sky"}
    model = build_small()
    (expected,) = segment(model, item)
    (actual,) = segment(model.cuda(), item)
    torch.testing.assert_close(actual.cpu(), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("opts", [(), FAST, SLIDING])
def test_labels_and_canvas_belong_to_the_scores(opts):
    model = build_small(*opts)
    item = {"image": picture(50, 80), "vocabulary": "cat|kitten,dog,sky,sea", "height": 70}
    with torch.no_grad():
        scores, labels, canvas = model(
            [item, {**item, "output": "labels"}, {**item, "output": "canvas"}]
        )
    # Places in a batch round differently: the label's score is the best but for that.
    chosen = scores["sem_seg"].gather(0, labels["labels"][None].long())[0]
    torch.testing.assert_close(chosen, scores["sem_seg"].amax(0), atol=1e-6, rtol=0)
    assert labels["labels"].shape == (70, 80)
    resized = F.interpolate(canvas["sem_seg"][None], (70, 80), mode="bilinear").squeeze(0)
    torch.testing.assert_close(resized, scores["sem_seg"])


@pytest.mark.parametrize(
    ("opts", "sizes"), [((), [(32, 32), (48, 48)]), (SLIDING, [(96, 96), (144, 144)])]
)
def test_a_scale_changes_the_resolution_of_its_own_input_only(opts, sizes):
    """Without windows CLIP's own input grows, with them the canvas; the windows stay."""
    model = build_small(*opts)
    item = {"image": picture(50, 80), "vocabulary": "cat,dog", "output": "canvas"}
    plain, large = segment(model, item, {**item, "scale": 1.5})
    assert [tuple(scores.shape[1:]) for scores in (plain, large)] == sizes
    torch.testing.assert_close(segment(model, item)[0], plain, atol=1e-5, rtol=1e-4)
    # The canvas never becomes smaller than a window.
    small = segment(model, {**item, "scale": 0.5})[0]
    assert small.shape[1:] == ((64, 64) if opts else (16, 16))
