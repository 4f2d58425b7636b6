"""The head's shapes and symmetries, and the losses."""

import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2.methods.fgaseg.head import REJECTED, best_classes
from fgaseg_d2.methods.fgaseg.losses import FGASegCriterion
from fgaseg_d2.methods.fgaseg.supplementation import convolve_by_text
from fgaseg_d2.modeling.layers import chunks
from fgaseg_d2.modeling.layers.similarity import cosine_maps
from tests.conftest import build_small

FAST = ("MODEL.FGASEG.FAST.ENABLED", True, "MODEL.FGASEG.FAST.KEEP", 2)


def features(model, height=64, width=64, images=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return model.backbone(torch.randn(images, 3, height, width, generator=generator))


def texts(classes, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(classes, 32, generator=generator), dim=1)


@pytest.mark.parametrize("classes", [1, 5, 300])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 104)])
def test_logits_have_four_times_the_token_grid(small, classes, height, width):
    with torch.no_grad():
        logits = small.sem_seg_head(features(small, height, width, 2), texts(classes))["logits"]
    assert logits.shape == (2, classes, height // 2, width // 2)
    dropped = (logits == REJECTED).all((2, 3)).sum(1)
    assert dropped.tolist() == [max(0, classes - 256)] * 2


@pytest.mark.parametrize("opts", [(), FAST, ("MODEL.FGASEG.FUSION", "add")])
def test_permuting_the_classes_permutes_the_logits(opts):
    model = build_small(*opts)
    maps, text, order = features(model), texts(9), torch.randperm(9)
    with torch.no_grad():
        logits = model.sem_seg_head(maps, text)["logits"]
        permuted = model.sem_seg_head(maps, text[order])["logits"]
    torch.testing.assert_close(permuted, logits[:, order], atol=1e-4, rtol=1e-4)


def test_kept_classes_do_not_depend_on_their_order(small):
    maps, text = features(small), texts(300)
    order = torch.randperm(300)
    with torch.no_grad():
        logits = small.sem_seg_head(maps, text)["logits"]
        permuted = small.sem_seg_head(maps, text[order])["logits"]
    torch.testing.assert_close(permuted, logits[:, order], atol=1e-4, rtol=1e-4)


def test_best_classes_are_those_with_the_largest_maximum():
    similarity = torch.zeros(2, 4, 3, 3)
    similarity[0, 1, 2, 2] = similarity[0, 3, 0, 1] = 1
    similarity[1, 0, 0, 0] = similarity[1, 2, 1, 1] = 1
    assert best_classes(similarity, 2).tolist() == [[1, 3], [0, 2]]
    assert best_classes(similarity, 4) is None


def test_early_rejection_leaves_the_kept_classes_as_they_are():
    """Rejection costs classes, not accuracy, where the class attention does not come between."""
    model = build_small(*FAST, "MODEL.FGASEG.AGGREGATION_LAYERS", 0)
    maps, text = features(model), texts(12)
    with torch.no_grad():
        kept = model.sem_seg_head(maps, text)["logits"]
        model.sem_seg_head.early_rejection.keep = 12
        everything = model.sem_seg_head(maps, text)["logits"]
    survived = (kept != REJECTED).any(3).any(2)
    assert 2 <= survived.sum() < 12
    torch.testing.assert_close(kept[survived], everything[survived], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("limit", [256, 3])
def test_kept_classes_are_the_best_by_the_cosine_somewhere(limit):
    model = build_small("MODEL.FGASEG.KEEP_CLASSES", 2, "MODEL.FGASEG.MAX_CLASSES", limit)
    maps, text = features(model, images=2), texts(30)
    head = model.sem_seg_head
    with torch.no_grad():
        logits = head(maps, text)["logits"]
        similarity = cosine_maps(head.p2tformer(text, maps["dense"]), maps["dense"])
    places = similarity.permute(0, 2, 3, 1).flatten(0, 2)
    wanted = set(places.argsort(dim=1, descending=True)[:, :2].flatten().tolist())
    assert 3 < len(wanted) < 30
    for image, own in zip(logits, similarity, strict=True):
        kept = set((image != REJECTED).any(2).any(1).nonzero().flatten().tolist())
        strongest = sorted(wanted, key=lambda c: own[c].max().item(), reverse=True)
        assert kept == set(strongest[:limit])


def test_keeping_as_many_classes_as_there_are_changes_nothing(small):
    maps, text = features(small), texts(7)
    model = build_small("MODEL.FGASEG.KEEP_CLASSES", 7)
    with torch.no_grad():
        expected = small.sem_seg_head(maps, text)["logits"]
        assert torch.equal(model.sem_seg_head(maps, text)["logits"], expected)
    model.train()
    model.sem_seg_head.keep_classes = 1
    assert model.sem_seg_head(maps, text)["logits"].min() > REJECTED


@pytest.mark.parametrize("classes", [1, 5, 20])
def test_chunks_of_classes_do_not_change_the_logits(monkeypatch, classes):
    """One class at a time, about three at a time, and, with gradients, all at once."""
    small = build_small("MODEL.FGASEG.MAX_CLASSES", 16)
    maps, text = features(small, 48, 104, images=2), texts(classes)
    whole = small.sem_seg_head(maps, text)["logits"].detach()
    for budget in (1, 6 * 78 * 32):
        monkeypatch.setitem(chunks._ELEMENTS, "cpu", budget)
        with torch.no_grad():
            logits = small.sem_seg_head(maps, text)["logits"]
        torch.testing.assert_close(logits, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("opts", [(), FAST])
def test_recomputed_activations_change_no_gradient(monkeypatch, opts):
    monkeypatch.setitem(chunks._ELEMENTS, "cpu", 2 * 64 * 32)
    gradients = []
    for checkpointing in (False, True):
        model = build_small(*opts, "MODEL.FGASEG.GRADIENT_CHECKPOINTING", checkpointing).train()
        maps = {name: part.double().requires_grad_() for name, part in features(model).items()}
        outputs = model.double().sem_seg_head(maps, texts(5).double())
        factors = [torch.linspace(-1, 1, x.numel()).view_as(x) for x in outputs.values()]
        total = sum((x * f).sum() for x, f in zip(outputs.values(), factors, strict=True))
        parameters = list(model.sem_seg_head.parameters())
        gradients.append(torch.autograd.grad(total, (*parameters, *maps.values())))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-8)


def test_text_convolution_against_a_loop():
    pixels, kernels, bias = torch.randn(2, 4, 6, 7), torch.randn(2, 3, 4, 3, 3), torch.randn(2, 3)
    expected = torch.stack(
        [F.conv2d(p[None], k, b, padding=1)[0] for p, k, b in zip(pixels, kernels, bias)]
    )
    torch.testing.assert_close(
        convolve_by_text(pixels, kernels, bias), expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("opts", [(), FAST])
def test_only_training_computes_what_only_training_needs(opts):
    model = build_small(*opts)
    maps, text = features(model, images=2), texts(5)
    assert set(model.sem_seg_head(maps, text)) == {"logits"}
    model.train()
    auxiliary = {"aux0", "aux1", "aux2"} if opts else set()
    assert set(model.sem_seg_head(maps, text)) == {"logits", "t2p"} | auxiliary


def criterion(**changes):
    arguments = {
        "main": "bce",
        "t2p": "bce",
        "t2p_weight": 0.02,
        "aux_weights": (0.2, 1.0, 1.0),
        "ignore_value": 255,
        "ignored_as_negative": True,
    }
    return FGASegCriterion(**(arguments | changes))


def test_main_loss_by_hand():
    """Logits at the targets' size, two classes, one pixel of three ignored."""
    logits = torch.tensor([[[[1.0, -2.0, 0.5]], [[0.0, 3.0, -1.0]]]])
    targets = torch.tensor([[[0, 1, 255]]])
    positive = F.softplus(-logits[0, :, 0])  # loss of a positive; of a negative: softplus(x)
    negative = F.softplus(logits[0, :, 0])
    terms = torch.stack(
        (positive[0, 0], negative[1, 0], negative[0, 1], positive[1, 1], *negative[:, 2])
    )
    losses = criterion()({"logits": logits}, targets)
    torch.testing.assert_close(losses["loss_sem_seg"], terms.mean())
    losses = criterion(ignored_as_negative=False)({"logits": logits}, targets)
    torch.testing.assert_close(losses["loss_sem_seg"], terms[:4].mean())
    losses = criterion(main="ce")({"logits": logits}, targets)
    expected = F.cross_entropy(logits[..., :2], targets[..., :2])
    torch.testing.assert_close(losses["loss_sem_seg"], expected)


def test_every_loss_has_its_weight():
    logits, targets = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    outputs = {name: logits for name in ("logits", "t2p", "aux0", "aux1", "aux2")}
    losses = criterion()(outputs, targets)
    main = losses["loss_sem_seg"]
    weights = {"loss_t2p": 0.02, "loss_aux0": 0.2, "loss_aux1": 1.0, "loss_aux2": 1.0}
    assert set(losses) == {"loss_sem_seg", *weights}
    for name, weight in weights.items():
        torch.testing.assert_close(losses[name], weight * main)


def test_class_balance_lets_rare_classes_weigh_more():
    """Nine pixels of class 0, three of class 2, none of class 1, four ignored."""
    logits = torch.randn(1, 3, 4, 4)
    targets = torch.tensor([0] * 9 + [2] * 3 + [255] * 4).view(1, 4, 4)
    pixels = F.cross_entropy(logits, targets, ignore_index=255, reduction="none").flatten()
    shares = torch.tensor([9 / 12] * 9 + [3 / 12] * 3)
    for balance in (0.0, 0.5, 1.0):
        weights = shares**-balance
        expected = (weights * pixels[:12]).sum() / weights.sum()
        losses = criterion(main="ce", class_balance=balance)({"logits": logits}, targets)
        torch.testing.assert_close(losses["loss_sem_seg"], expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"main": "bce"},
        {"main": "bce", "ignored_as_negative": False},
        {"main": "ce"},
        {"main": "ce", "class_balance": 0.5},
    ],
)
def test_a_batch_without_labels_has_a_finite_loss(settings):
    targets = torch.full((1, 4, 4), 255)
    losses = criterion(**settings)({"logits": torch.randn(1, 3, 2, 2)}, targets)
    assert losses["loss_sem_seg"].isfinite()


@pytest.mark.parametrize("wrong", [{"main": "dice"}, {"t2p": "l1"}, {"class_balance": 0.5}])
def test_unknown_losses_are_refused(wrong):
    with pytest.raises(ValueError, match="expected `(main|t2p|class_balance)`"):
        criterion(**wrong)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("MODEL.FGASEG.LCS.KERNEL_SIZE", 4, "whole number from 1 to 31, odd, got 4"),
        ("MODEL.FGASEG.FUSION", "mul", "'cat' or 'add'"),
        ("MODEL.CLIP.IMAGE_SIZE", [60, 64], "multiples of the patch size 8"),
        ("MODEL.CLIP.FINETUNE", "some", "MODEL.CLIP.FINETUNE"),
        ("MODEL.CLIP.FINETUNE", "prompt", "PROMPT_LENGTH"),
        ("MODEL.CLIP.GUIDANCE_BLOCKS", [2, 7], "GUIDANCE_BLOCKS"),
        ("MODEL.CLIP.GUIDANCE_BLOCKS", [1], "GUIDANCE_BLOCKS"),
        ("MODEL.CLIP.IMAGE_SIZE", [64], "to be 2 values"),
        ("MODEL.FGASEG.P2T.HEADS", 7, "P2T.HEADS"),
        ("MODEL.FGASEG.ATTENTION_HEADS", 3, "ATTENTION_HEADS"),
        ("MODEL.FGASEG.WINDOW_SIZE", 0, "WINDOW_SIZE"),
        ("MODEL.FGASEG.MAX_CLASSES", 0, "MAX_CLASSES"),
        ("MODEL.FGASEG.KEEP_CLASSES", -1, "KEEP_CLASSES"),
        ("TEST.MAX_VIEWS", 0, "TEST.MAX_VIEWS"),
        ("MODEL.FGASEG.LOSS.AUX_WEIGHTS", [1.0], "to be 3 values"),
        ("MODEL.FGASEG.PROMPT_TEMPLATES", "no blank", "PROMPT_TEMPLATES"),
        ("TEST.AMP_DTYPE", "float8", "TEST.AMP_DTYPE to be .*bfloat16"),
    ],
)
def test_wrong_configuration_values_are_named(key, value, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build_small(key, value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SIZE", [700, 64], "TEST.SLIDING_WINDOW with pairs 1 <= stride <= size <= canvas"),
        ("STRIDE", [0, 256], r"STRIDE to be 2 values.*got \[0, 256\]"),
    ],
)
def test_impossible_windows_are_refused(key, value, message):
    with pytest.raises(ValueError, match=message):
        build_small(*("TEST.SLIDING_WINDOW.ENABLED", True, f"TEST.SLIDING_WINDOW.{key}", value))
