"""LDVC's parts against computations of their own in plain NumPy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fgaseg_d2.methods.ldvc.decoder import AnchorLayer, DotLayer, MaskLayer, build_layers
from fgaseg_d2.methods.ldvc.head import LDVCHead
from fgaseg_d2.methods.ldvc.losses import LDVCCriterion
from fgaseg_d2.methods.ldvc.prompts import VisionPrompts
from fgaseg_d2.methods.ldvc.route_attention import (
    RouteAttention,
    SelfAttention,
    from_windows,
    to_windows,
)

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def softmax(x):
    """Along the last axis."""
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def projected(layer, x):
    """A linear layer in NumPy."""
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def route_attention_in_loops(layer, x, window, top, heads):
    """One picture h w C: windows, their means, their choice, and attention token by token."""
    height, width, channels = x.shape
    q, k, v = (projected(part, x) for part in (layer.q, layer.k, layer.v))
    windows = [
        [
            (y, x_)
            for y in range(top_, min(top_ + window, height))
            for x_ in range(left, min(left + window, width))
        ]
        for top_ in range(0, height, window)
        for left in range(0, width, window)
    ]
    mean_q = [np.mean([q[place] for place in places], 0) for places in windows]
    mean_k = [np.mean([k[place] for place in places], 0) for places in windows]
    out = np.zeros_like(x)
    size = channels // heads
    for number, places in enumerate(windows):
        affinity = np.array([mean_q[number] @ other for other in mean_k])
        chosen = np.argsort(-affinity)[: min(top, len(windows))]
        keys = [place for window_ in chosen for place in windows[window_]]
        for place in places:
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                scores = np.array([q[place][part] @ k[key][part] for key in keys])
                weights = softmax(scores / math.sqrt(size))
                out[place][part] = sum(
                    w * v[key][part] for w, key in zip(weights, keys, strict=True)
                )
    return projected(layer.out, out)


@pytest.mark.parametrize("top", [1, 3, 99])
@pytest.mark.parametrize("grid", [(8, 8), (6, 9)], ids=["whole", "padded"])
def test_route_attention_is_that_of_loops(grid, top):
    torch.manual_seed(0)
    layer = RouteAttention(8, 2, window=4, top=top)
    x = torch.randn(2, *grid, 8)
    result = layer(x).detach()
    for picture, expected in zip(x, result, strict=True):
        alone = route_attention_in_loops(layer, picture.numpy(), 4, top, heads=2)
        np.testing.assert_allclose(expected, alone, atol=1e-5)


@pytest.mark.parametrize("grid", [(8, 8), (5, 7), (3, 2)], ids=["whole", "padded", "one window"])
def test_all_windows_are_full_attention_even_beside_padding(grid):
    torch.manual_seed(0)
    route, full = RouteAttention(8, 2, window=4, top=1000), SelfAttention(8, 2)
    full.load_state_dict(route.state_dict())
    x = 3 * torch.randn(2, *grid, 8)
    torch.testing.assert_close(route(x), full(x), atol=1e-5, rtol=1e-5)


def test_a_window_attends_to_the_windows_that_suit_it_not_to_itself():
    # One channel for each of four windows; queries ask for the window behind one's own.
    layer = RouteAttention(4, 1, window=2, top=1)
    with torch.no_grad():
        for part in (layer.q, layer.k, layer.v, layer.out):
            part.weight.copy_(torch.eye(4))
            part.bias.zero_()
        layer.q.weight.copy_(torch.eye(4).roll(1, 0))
    x = from_windows(torch.eye(4)[None, :, None].expand(1, 4, 4, 4), (4, 4), 2)
    found = to_windows(layer(x), 2)[0, :, 0]
    torch.testing.assert_close(found, torch.eye(4).roll(-1, 0))


def test_the_choice_of_windows_looks_at_all_heads_together():
    torch.manual_seed(1)
    one, four = (RouteAttention(8, heads, window=2, top=2) for heads in (1, 4))
    four.load_state_dict(one.state_dict())
    noted = []
    for layer in (one, four):
        layer.router.register_forward_hook(lambda *call: noted.append(call[-1]))
        layer(torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(*noted) and noted[0].shape == (1, 16, 2)


@pytest.mark.parametrize("grid", [(4, 4), (5, 3), (1, 9)], ids=str)
def test_windows_go_back_to_where_they_came_from(grid):
    x = torch.arange(2.0 * math.prod(grid) * 3).view(2, *grid, 3)
    assert torch.equal(from_windows(to_windows(x, 4), grid, 4), x)


def layer_of(kind, anchor="class", consensus=None):
    """A layer of 8 channels and 2 heads, without dropout."""
    torch.manual_seed(2)
    return kind(dim=8, heads=2, anchor=anchor, consensus=consensus, dropout=0.0)


def scores_in_loops(layer, queries, keys):
    """Mean over the two heads of q k / sqrt(4), and attention from these scores."""
    q, k, v = (
        projected(part, x) for part, x in ((layer.q, queries), (layer.k, keys), (layer.v, keys))
    )
    total, taken = 0, []
    for part in (slice(0, 4), slice(4, 8)):
        scores = q[:, part] @ k[:, part].T / 2
        total = total + scores / 2
        taken.append(softmax(scores) @ v[:, part])
    return total, projected(layer.out, np.concatenate(taken, -1))


@pytest.mark.parametrize("anchor", ["class", "vision"])
def test_a_layer_moves_queries_and_masks_are_its_scores_before_the_softmax(anchor):
    layer = layer_of(AnchorLayer, anchor)
    vision, text = torch.randn(1, 3, 5, 8), torch.randn(1, 4, 8)
    new_vision, new_text, masks = layer(vision, text)
    tokens, classes = vision[0].flatten(0, 1).numpy(), text[0].numpy()
    queries, keys = (tokens, classes) if anchor == "class" else (classes, tokens)
    scores, taken = scores_in_loops(layer, queries, keys)
    expected = scores.T if anchor == "class" else scores
    np.testing.assert_allclose(masks[0].flatten(1).detach(), expected, atol=1e-5)
    moved = layer.norm(torch.tensor(queries + taken))
    moved = layer.mlp_norm(moved + layer.mlp(moved))
    found = new_vision[0].flatten(0, 1) if anchor == "class" else new_text[0]
    torch.testing.assert_close(found, moved, **CLOSE)
    # The other side stays.
    assert torch.equal(new_text, text) if anchor == "class" else torch.equal(new_vision, vision)


def test_dot_masks_are_products_of_what_comes_out():
    layer = layer_of(DotLayer)
    vision, text, masks = layer(torch.randn(2, 3, 5, 8), torch.randn(2, 4, 8))
    expected = torch.einsum("bhwc,bnc->bnhw", vision, text) / math.sqrt(8)
    torch.testing.assert_close(masks, expected, **CLOSE)


def test_consensus_acts_on_the_tokens_before_anything_looks_at_them():
    layer = layer_of(MaskLayer, "vision", SelfAttention(8, 2))
    vision, text = torch.randn(1, 3, 5, 8), torch.randn(1, 4, 8)
    new_vision, _, masks = layer(vision, text)
    expected = layer.consensus_norm(vision + layer.consensus(vision))
    torch.testing.assert_close(new_vision, expected, **CLOSE)
    plain = layer_of(MaskLayer, "vision")
    plain.load_state_dict(layer.state_dict(), strict=False)
    torch.testing.assert_close(masks, plain(expected, text)[2], **CLOSE)


@pytest.mark.parametrize(
    ("mask", "kinds"),
    [("attention", [AnchorLayer, AnchorLayer, MaskLayer]), ("dot", [DotLayer] * 3)],
    ids=["attention", "dot"],
)
def test_nothing_stands_behind_the_last_masks(mask, kinds):
    layers = build_layers(3, mask, lambda: None, dim=8, heads=2, anchor="class", dropout=0.0)
    assert [type(layer) for layer in layers] == kinds


def test_anchors_are_text_seen_in_the_light_of_the_picture():
    torch.manual_seed(0)
    head = LDVCHead(dim=8, heads=2, layers=1, consensus="none").eval()
    dense, whole, text = torch.randn(2, 8, 3, 3), torch.randn(2, 8), torch.randn(4, 8)
    masks = head({"dense": 7 * dense, "global": 5 * whole}, text)["masks"]
    c = nn.functional.normalize(whole, dim=-1)
    vision = nn.functional.normalize(dense.flatten(2), dim=1)
    weight, bias = head.adapter.weight, head.adapter.bias
    layer = head.layers[0]
    for picture in range(2):
        pairs = torch.cat((c[picture] * text, text), -1)
        anchors = pairs @ weight.T + bias
        q, k = layer.q(vision[picture].T), layer.k(anchors)
        # Two heads of four channels, each over its square root.
        expected = (k @ q.T / (2 * 2)).view(4, 3, 3)
        torch.testing.assert_close(masks[0][picture], expected, **CLOSE)


def test_weights_begin_small_and_truncated():
    head = LDVCHead(dim=64, heads=8)
    weights = torch.cat([m.weight.flatten() for m in head.modules() if isinstance(m, nn.Linear)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    biases = [m.bias for m in head.modules() if isinstance(m, nn.Linear)]
    assert not torch.cat(biases).any()


def test_heads_that_do_not_divide_are_said_in_one_line():
    with pytest.raises(ValueError, match=r"`heads` to divide the 32 .* got 5; choose such as 4"):
        LDVCHead(dim=32, heads=5)


def losses_in_loops(logits, targets, classes, ignored_counts):
    """Focal and dice of one layer in float64, pixel by pixel; logits at the size of the targets."""
    focal = dice = pairs = 0.0
    for picture, label in zip(logits, targets, strict=True):
        for number in range(classes):
            inside = [
                (1 / (1 + math.exp(-float(logit))), int(value == number))
                for logit, value in zip(picture[number].ravel(), label.ravel(), strict=True)
                if ignored_counts or value != 255
            ]
            terms = [
                -0.25 * (1 - p) ** 2 * math.log(p) if t else -0.75 * p**2 * math.log(1 - p)
                for p, t in inside
            ]
            focal += sum(terms) / len(terms)
            if any(t for _, t in inside):
                pairs += 1
                both, either = sum(p * t for p, t in inside), sum(p + t for p, t in inside)
                dice += 1 - (2 * both + 1) / (either + 1)
    return 100 * focal / max(pairs, 1), dice / max(pairs, 1)


@pytest.mark.parametrize("ignored_counts", [True, False], ids=["ignored counts", "left out"])
def test_losses_of_every_layer_are_those_of_loops(ignored_counts):
    generator = torch.Generator().manual_seed(4)
    masks = [2 * torch.randn(2, 3, 6, 5, generator=generator) for _ in range(2)]
    # The first picture shows two of the three classes, the second one.
    targets = torch.randint(0, 2, (2, 6, 5), generator=generator)
    targets[1] = 2
    targets[:, :2] = 255
    criterion = LDVCCriterion(
        ignore_value=255, focal_weight=100, dice_weight=1, ignored_as_negative=ignored_counts
    )
    losses = criterion(masks, targets)
    assert list(losses) == ["loss_focal1", "loss_dice1", "loss_focal", "loss_dice"]
    for number, layer in zip(("1", ""), masks, strict=True):
        focal, dice = losses_in_loops(layer.numpy(), targets.numpy(), 3, ignored_counts)
        assert losses[f"loss_focal{number}"].item() == pytest.approx(focal, rel=1e-4)
        assert losses[f"loss_dice{number}"].item() == pytest.approx(dice, rel=1e-4)


def test_a_batch_without_a_label_has_a_finite_loss():
    criterion = LDVCCriterion(
        ignore_value=255, focal_weight=100, dice_weight=1, ignored_as_negative=False
    )
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    losses = criterion([logits], torch.full((1, 8, 8), 255))
    sum(losses.values()).backward()
    assert all(loss.item() == 0 for loss in losses.values()) and not logits.grad.any()


def test_vision_prompts_begin_in_their_bounds_and_share_a_projection():
    torch.manual_seed(0)
    prompts = VisionPrompts(blocks=3, length=5, width=32, patch_size=8, dropout=0.5)
    bound = math.sqrt(6 / (3 * 64 + 32))
    assert 0.9 * bound < prompts.tokens.abs().max() <= bound
    tokens = prompts.eval()(4)
    assert [block.shape for block in tokens] == [(4, 5, 32)] * 3
    torch.testing.assert_close(tokens[1][2], prompts.project(prompts.tokens[1]))
    # In training each picture loses others of them.
    first, second = prompts.train()(2)[0]
    assert (first == 0).any() and not torch.equal(first == 0, second == 0)


@pytest.mark.parametrize("consensus", ["none", "full", "route"])
@pytest.mark.parametrize("anchor", ["class", "vision"])
@pytest.mark.parametrize("start", ["random", "clip"])
@pytest.mark.parametrize("mask", ["attention", "dot"])
def test_masks_of_every_layer_start_as_clip_sees_them(mask, start, anchor, consensus):
    torch.manual_seed(0)
    kinds = {"anchor": anchor, "consensus": consensus, "mask": mask, "start": start}
    head = LDVCHead(dim=64, heads=4, **kinds).eval()
    features = {"dense": torch.randn(2, 64, 8, 8), "global": torch.randn(2, 64)}
    text = nn.functional.normalize(torch.randn(5, 64), dim=-1)
    with torch.no_grad():
        masks = head(features, text)["masks"]
    unit = nn.functional.normalize(features["dense"], dim=1)
    cosines = np.einsum("bchw,nc->bnhw", unit.numpy(), text.numpy())
    for layer in masks:
        likeness = np.corrcoef(layer.numpy().ravel(), cosines.ravel())[0, 1]
        slope = np.polyfit(cosines.ravel(), layer.numpy().ravel(), 1)[0]
        if start == "clip":
            # Products over sqrt(C) of classes of that length, and tokens as long or of length 1.
            dot = 1 if (anchor, consensus) == ("vision", "none") else np.sqrt(64)
            gain = 16 if mask == "attention" else dot
            assert likeness > 0.95 and slope == pytest.approx(gain, rel=0.25)
        else:
            assert abs(likeness) < 0.5 and abs(slope) < 1
