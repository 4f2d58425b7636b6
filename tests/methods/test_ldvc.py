"""LDVC answers what every method does, and keeps what zero-shot segmentation promises."""

import pytest
import torch
import yaml
from detectron2.utils.events import EventStorage

from fgaseg_d2 import Vocabulary
from fgaseg_d2.config import load_config
from fgaseg_d2.modeling.seen_classes import SeenClasses
from fgaseg_d2.modeling.stages import StageRecorder
from fgaseg_d2.vocabulary.sources import read_names
from fgaseg_d2.vocabulary.zero_shot import SPLITS
from tests.conftest import ROOT, build_small, config
from tests.methods.tester import SegmentorTester, picture

LDVC = (
    *("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.CLIP.FINETUNE", "frozen"),
    *("MODEL.CLIP.DENSE_READING", "clip", "MODEL.LDVC.HEADS", 4),
    *("MODEL.LDVC.PROMPT_LENGTH", 2, "MODEL.LDVC.LAYERS", 2),
)


class TestLDVC(SegmentorTester):
    """Class anchors, route attention, prompts in both towers."""

    opts = LDVC


class TestLDVCWithZegCLIPsDecoder(SegmentorTester):
    """Classes look for pixels, without consensus; prompts in the image tower alone."""

    opts = (
        *LDVC,
        *("MODEL.LDVC.ANCHOR", "vision", "MODEL.LDVC.CONSENSUS", "none"),
        *("MODEL.LDVC.PROMPTS", "vision"),
    )


class TestLDVCWithDotProducts(SegmentorTester):
    """Masks of what comes out of a layer, full attention, no prompts, windows of a canvas."""

    opts = (
        *(*LDVC, "MODEL.LDVC.MASK", "dot", "MODEL.LDVC.CONSENSUS", "full"),
        *("MODEL.LDVC.PROMPTS", "none"),
        *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.CANVAS", [96, 96]),
        *("TEST.SLIDING_WINDOW.SIZE", [64, 64], "TEST.SLIDING_WINDOW.STRIDE", [32, 32]),
    )


class TestTransductiveLDVC(SegmentorTester):
    """Unlabelled pixels take unseen classes; classes look for pixels that agree along routes."""

    opts = (
        *(*LDVC, "MODEL.LDVC.TRAINING", "transductive", "MODEL.LDVC.PROMPTS", "language"),
        *("MODEL.LDVC.ANCHOR", "vision", "MODEL.LDVC.LOSS.IGNORED_AS_NEGATIVE", False),
    )


def ldvc(*opts, seed=0):
    """The smallest LDVC, with random weights, in evaluation mode."""
    return build_small("DATASETS.TRAIN", (), "DATASETS.TEST", (), *LDVC, *opts, seed=seed)


def still(model):
    """In training mode, but without anything that is drawn at random."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


WITHOUT_CHANCE = ("MODEL.LDVC.DROPOUT", 0.0, "MODEL.LDVC.DROP_PATH", 0.0)
WORDS = Vocabulary.parse("cat|kitten,dog,sky,sea")


def sample(label, words=WORDS, **more):
    """A training input of 64 pixels."""
    return {"image": picture(64, 64), "sem_seg": label, "vocabulary": words, **more}


def stripes(values):
    """A label map of equal stripes."""
    return torch.tensor(values).repeat_interleave(64 // len(values))[:, None].expand(64, 64).clone()


def test_roles_say_what_learns_how():
    model = ldvc()
    roles = model.parameter_roles()
    assert set(roles) == {"clip", "prompts", "head"}
    names = {id(p): name for name, p in model.named_parameters()}
    assert sorted(names[id(p)] for p in roles["prompts"]) == [
        "text_encoder.block_tokens",
        "vision_prompts.project.bias",
        "vision_prompts.project.weight",
        "vision_prompts.tokens",
    ]
    assert {"vision_norm.weight", "sem_seg_head.adapter.bias"} <= {
        names[id(p)] for p in roles["head"]
    }
    # CLIP is frozen; all else trains.
    assert not any(p.requires_grad for p in roles["clip"])
    assert all(p.requires_grad for p in (*roles["prompts"], *roles["head"]))


def test_the_tower_without_prompts_is_clips_but_for_a_norm_that_changes_nothing_yet():
    model = ldvc("MODEL.LDVC.PROMPTS", "none")
    views = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain = model.backbone(views, outputs=("dense", "global"))
        normed = model.backbone(views, outputs=("dense", "global"), final=model.vision_norm)
    for name in plain:
        torch.testing.assert_close(normed[name], plain[name], atol=1e-4, rtol=1e-3)


def test_every_vision_prompt_has_an_effect_and_cls_comes_from_the_same_pass():
    model = ldvc()
    views = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        tokens = model.vision_prompts.tokens
        base = model.backbone(views, outputs=("dense", "global"), prompts=model.vision_prompts(1))
        for block in range(len(tokens)):
            tokens[block] += 1
            moved = model.backbone(views, outputs=("dense",), prompts=model.vision_prompts(1))
            tokens[block] -= 1
            assert (moved["dense"] - base["dense"]).abs().max() > 1e-3
        alone = model.backbone(views, outputs=("global",), prompts=model.vision_prompts(1))
    torch.testing.assert_close(base["global"], alone["global"], atol=1e-5, rtol=1e-5)


def test_paths_are_dropped_in_training_alone():
    model = ldvc("MODEL.LDVC.DROP_PATH", 0.9, "MODEL.LDVC.DROPOUT", 0.0)
    views = torch.randn(1, 3, 64, 64)

    def run():
        with torch.no_grad():
            return model.backbone(views)["dense"]

    with torch.no_grad():
        kept = ldvc(*WITHOUT_CHANCE).backbone(views)["dense"]
    assert torch.equal(run(), kept)
    model.train()
    torch.manual_seed(0)
    assert len({run().sum().item() for _ in range(8)}) > 1


def gradients(model, batch):
    """Losses and the gradients they leave."""
    model.zero_grad()
    losses = model(batch)
    sum(losses.values()).backward()
    values = {name: loss.item() for name, loss in losses.items()}
    return values, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_training_never_sees_an_unseen_class():
    model = still(ldvc(*WITHOUT_CHANCE))
    model.unseen = frozenset({"sky"})
    shown = stripes([0, 1, 2, 3])
    hidden = torch.where(shown == 2, 255, shown)
    found = gradients(model, [sample(shown)])
    # The same as a dataset that never had the class.
    others = stripes([0, 1, 255, 2])
    model.unseen = frozenset()
    words = Vocabulary.parse("cat|kitten,dog,sea")
    losses, grads = gradients(model, [sample(others, words)])
    assert losses == pytest.approx(found[0], rel=1e-5)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, found[1][name], atol=1e-5, rtol=1e-3)
    model.unseen = frozenset({"sky"})
    assert gradients(model, [sample(hidden)])[0] == found[0]
    assert model.seen.names() == {"cat", "kitten", "dog", "sea"}


def test_only_unseen_words_leave_nothing_to_train_on():
    model = still(ldvc())
    model.unseen = frozenset({"cat"})
    with pytest.raises(ValueError, match="seen class to train on, got none"):
        model([sample(stripes([0, 255]), Vocabulary.parse("cat"))])


def test_in_the_second_half_unlabelled_pixels_take_the_best_unseen_class():
    model = still(ldvc(*WITHOUT_CHANCE, "MODEL.LDVC.TRAINING", "transductive"))
    model.unseen, model.transductive_from = frozenset({"sky", "sea"}), 10
    label = stripes([0, 1, 255, 255])
    # The last stripe is ignored for another reason.
    unlabelled = stripes([0, 0, 1, 0]).bool()
    batch = [sample(label, unlabelled=unlabelled)]
    seen: list[torch.Tensor] = []
    model.criterion.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    with EventStorage(9):
        model(batch)
    assert seen[0].unique().tolist() == [0, 1, 255]
    with EventStorage(10), StageRecorder(model.stages()) as record:
        model(batch)
    (masks,) = (maps for _, _, maps in record.outputs["layer2"])
    maps = torch.nn.functional.interpolate(masks[:, 2:], (64, 64), mode="bilinear")
    expected = torch.where(unlabelled, 2 + maps[0].argmax(0), label)
    assert torch.equal(seen[1][0], expected)


def test_an_unlabelled_pixel_is_any_ignored_one_where_nothing_says_more_but_no_padding():
    model = still(ldvc(*WITHOUT_CHANCE))
    model.unseen, model.transductive_from = frozenset({"sea"}), 0
    small = {"image": picture(40, 64), "sem_seg": stripes([255, 1])[:40], "vocabulary": WORDS}
    seen: list[torch.Tensor] = []
    model.criterion.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    with EventStorage(0):
        model([sample(stripes([0, 255])), small])
    assert seen[0][0].unique().tolist() == [0, 3]
    assert (seen[0][1, :32] == 3).all() and (seen[0][1, 40:] == 255).all()


def test_sampled_words_are_those_of_the_batch_and_others():
    model = still(ldvc("MODEL.LDVC.LOSS.SAMPLED_CLASSES", 3))
    with StageRecorder(model.stages()) as record:
        model([sample(stripes([0, 3]))])
    assert record.outputs["head"][0]["logits"].shape[1] == 3


SHIFT = torch.tensor([0.5, 0.45, 0.3])[:, None, None]


def test_scores_of_seen_words_are_lowered_for_the_argmax_alone():
    seen = SeenClasses(Vocabulary.parse("cat|kitten,sky"), 0.1)
    words = Vocabulary.parse("cat,sea,kitten|young cat")
    expected = torch.tensor([0.4, 0.45, 0.2])[:, None, None]
    torch.testing.assert_close(seen.shifted(SHIFT, words), expected)
    # Nothing to lower: the very same scores.
    assert seen.shifted(SHIFT, Vocabulary.parse("a,b,c")) is SHIFT
    assert SeenClasses(Vocabulary.parse("cat"), 0.0).shifted(SHIFT, words) is SHIFT


@pytest.mark.parametrize(
    ("threshold", "winner"), [(0.46, 0), (0.51, 2)], ids=["class", "background"]
)
def test_a_background_threshold_is_reached_by_the_scores_themselves(threshold, winner):
    words = Vocabulary.parse("cat,dog").with_background((), threshold=threshold)
    scores = torch.tensor([0.5, 0.3, threshold])[:, None, None]
    seen = SeenClasses(Vocabulary.parse("cat,dog"), 0.1)
    assert seen.shifted(scores, words).argmax(0).item() == winner


def test_a_model_gives_what_the_argmax_needs_and_the_scores_beside_it():
    model = ldvc()
    item = {"image": picture(64, 64), "vocabulary": WORDS}
    with torch.no_grad():
        (before,) = model([item])
        model.seen.add((("dog",), ("sky",)))
        after, canvas, labels = model(
            [item, item | {"output": "canvas"}, item | {"output": "labels"}]
        )
    lowered = before["sem_seg"] - torch.tensor([0, 0.1, 0.1, 0])[:, None, None]
    torch.testing.assert_close(after["sem_seg"], lowered)
    assert (canvas["probabilities"] - canvas["sem_seg"])[:, 0, 0].tolist() == pytest.approx(
        [0, 0.1, 0.1, 0], abs=1e-6
    )
    assert (labels["labels"] == lowered.argmax(0)).float().mean() > 0.999


def test_the_names_seen_go_with_the_weights():
    trained, model = ldvc(), ldvc()
    trained.seen.add((("cat", "kitten"), ("überraschung",)))
    model.seen.add((("dog",),))
    model.load_state_dict(trained.state_dict())
    assert model.seen.names() == {"cat", "kitten", "überraschung"}
    model.seen.add((("dog",),))
    assert "dog" in model.seen.names()


def test_more_names_than_there_is_room_for_are_one_line():
    generator = torch.Generator().manual_seed(0)
    digits = torch.randint(0, 10**9, (20_000,), generator=generator).tolist()
    with pytest.raises(ValueError, match="train on fewer words"):
        SeenClasses(Vocabulary.from_names([str(d) for d in dict.fromkeys(digits)]), 0.1)


def test_it_learns_to_tell_two_colors_apart():
    size = ("MODEL.CLIP.IMAGE_SIZE", [32, 32], "MODEL.LDVC.WINDOW_SIZE", 2)
    model = ldvc(*WITHOUT_CHANCE, *size).train()
    with torch.no_grad():
        for module in model.sem_seg_head.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight *= 4  # as strong with 32 channels as they are with 512
    words = Vocabulary.parse("red,blue")
    colors = torch.tensor([[220.0, 30, 30], [30, 30, 220]])
    generator = torch.Generator().manual_seed(0)

    def batch():
        labels = torch.randint(0, 2, (4, 2, 2), generator=generator)
        labels = labels.repeat_interleave(16, 1).repeat_interleave(16, 2)
        noise = 20 * torch.randn(4, 3, 32, 32, generator=generator)
        images = colors[labels].permute(0, 3, 1, 2) + noise
        return [
            {"image": image, "sem_seg": label, "vocabulary": words}
            for image, label in zip(images, labels, strict=True)
        ]

    roles = model.parameter_roles()
    groups = [{"params": roles["head"]}, {"params": roles["prompts"], "lr": 5e-4}]
    optimizer = torch.optim.AdamW(groups, 5e-3)
    losses = []
    for _ in range(45):
        loss = sum(model(batch()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.25 * sum(losses[:5])
    model.eval()
    with torch.no_grad():
        items = batch()
        found = model([item | {"output": "labels"} for item in items])
    right = [
        (result["labels"] == item["sem_seg"]).float().mean().item()
        for result, item in zip(found, items, strict=True)
    ]
    assert sum(right) / len(right) > 0.95


@pytest.mark.parametrize("name", ["voc_15_5", "coco_stuff_156_15", "context_49_10"])
def test_splits_name_classes_of_their_sets_and_they_stay_unseen(name):
    cfg = config(f"configs/ldvc/{name}.yaml")
    unseen = read_names(SPLITS[cfg.DATASETS.UNSEEN])
    for dataset in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        classes = Vocabulary.from_metadata(dataset).class_names
        assert set(unseen) < set(classes)
    seen, count = (int(part) for part in name.split("_")[-2:])
    assert (len(classes) - len(unseen), len(unseen)) == (seen, count)
    small = ldvc("DATASETS.UNSEEN", cfg.DATASETS.UNSEEN, "DATASETS.TRAIN", cfg.DATASETS.TRAIN)
    assert small.unseen == set(unseen)
    assert small.seen.names() == set(classes) - set(unseen)


ROWS = yaml.safe_load((ROOT / "configs/ldvc/ablations.yaml").read_text(encoding="utf-8"))["ROWS"]


def test_rows_are_the_claims_and_differ_where_they_say():
    base = load_config(str(ROOT / "configs/ldvc/voc_15_5.yaml"))
    loaded = {name: load_config(str(ROOT / f"configs/ldvc/ablations/{name}.yaml")) for name in ROWS}
    for name, changes in ROWS.items():
        expected = base.clone()
        expected.defrost()
        expected.merge_from_list([part for item in (changes or {}).items() for part in item])
        assert loaded[name] == expected, name
    decoders = {(cfg.MODEL.LDVC.ANCHOR, cfg.MODEL.LDVC.CONSENSUS) for cfg in loaded.values()}
    assert decoders == {(a, c) for a in ("class", "vision") for c in ("none", "full", "route")}
    assert load_config("zegclip") == loaded["zegclip"]
