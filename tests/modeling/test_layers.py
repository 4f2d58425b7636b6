"""Layers against independent computations."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fgaseg_d2.modeling.layers import chunks
from fgaseg_d2.modeling.layers.attention import GuidedLinear, SplitQKVAttention, linear_attention
from fgaseg_d2.modeling.layers.chunks import in_chunks
from fgaseg_d2.modeling.layers.linear import MLP, Linear, linear
from fgaseg_d2.modeling.layers.position import resize_grid_embedding, sine_encoding
from fgaseg_d2.modeling.layers.similarity import cosine_maps
from fgaseg_d2.modeling.layers.swin import GuidedSwinBlock
from fgaseg_d2.modeling.layers.upsampling import DoubleConv, GuidedUpsample, Upsampling


def test_split_attention_computes_what_the_packed_one_does():
    packed = nn.MultiheadAttention(24, 4, batch_first=True)
    nn.init.normal_(packed.in_proj_bias)
    split = SplitQKVAttention.from_packed(packed)
    x, mask = torch.randn(3, 7, 24), torch.full((7, 7), -math.inf).triu(1)
    expected, _ = packed(x, x, x, need_weights=False, attn_mask=mask)
    torch.testing.assert_close(split(x, x, x, attn_mask=mask)[0], expected)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_that_trains_in_half_precision_is_the_same(masked):
    """Its plain products against float32, as near as the fused attention without gradients."""
    torch.manual_seed(0)
    packed, x = nn.MultiheadAttention(32, 4, batch_first=True), torch.randn(2, 9, 32)
    attention = SplitQKVAttention.from_packed(packed)
    mask = torch.full((9, 9), -math.inf).triu(1) if masked else None
    expected = attention(x, x, x, attn_mask=mask)[0]
    expected.square().sum().backward()
    gradients = [p.grad.clone() for p in attention.parameters()]
    attention.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        trained = attention(x, x, x, attn_mask=mask)[0]
        with torch.no_grad():
            fused = attention(x, x, x, attn_mask=mask)[0]
    trained.float().square().sum().backward()
    for half in (trained, fused):
        torch.testing.assert_close(half.float(), expected, atol=6e-3, rtol=0)
    scale = max(gradient.norm() for gradient in gradients)
    for parameter, gradient in zip(attention.parameters(), gradients, strict=True):
        assert (parameter.grad - gradient).norm() <= 0.01 * scale


def test_guided_linear_is_a_linear_of_both_together():
    layer, x, guidance = GuidedLinear(5, 3, 4), torch.randn(2, 6, 5), torch.randn(2, 1, 3)
    both = torch.cat((x, guidance.expand(-1, 6, -1)), dim=-1)
    expected = F.linear(both, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x, layer.guide(guidance)), expected)


def test_linear_attention_against_the_quadratic_form_with_the_padding_laid_out():
    q, k, v = torch.randn(3, 2, 5, 2, 4).unbind(0)
    pad_key, pad_value, count = torch.randn(2, 4), torch.randn(2, 4), 11
    full_k = torch.cat((k, pad_key.expand(2, count, -1, -1)), dim=1)
    full_v = torch.cat((v, pad_value.expand(2, count, -1, -1)), dim=1)
    weights = torch.einsum("blhd,bshd->bhls", F.elu(q) + 1, F.elu(full_k) + 1)
    weights = weights / weights.sum(-1, keepdim=True)
    expected = torch.einsum("bhls,bshd->blhd", weights, full_v)
    actual = linear_attention(q, k, v, extra=(pad_key, pad_value, count))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_linear_attention_stays_finite_in_half_precision():
    x = torch.full((1, 4096, 1, 8), 60.0)
    with torch.autocast("cpu", torch.float16):
        assert linear_attention(x.half(), x.half(), x.half()).isfinite().all()


@pytest.mark.parametrize(("height", "width", "shift"), [(8, 8, 0), (8, 8, 2), (6, 9, 2), (3, 4, 2)])
def test_swin_block_attends_within_its_windows_only(height, width, shift):
    """Perturb one token: exactly the tokens of its (shifted) window change."""
    torch.manual_seed(0)
    block = GuidedSwinBlock(8, 4, num_heads=2, window=4, shift=shift).double()
    x = torch.randn(1, 1, height, width, 8, dtype=torch.double)
    guidance = torch.randn(1, height, width, 4, dtype=torch.double)
    shift = 0 if max(height, width) <= 4 else shift
    y, z = height // 2, width - 1
    touched = x.clone()
    touched[0, 0, y, z, 0] += 1  # not all channels: LayerNorm would take that out
    with torch.no_grad():
        guides = block.guide(guidance)
        change = (block(touched, guides) - block(x, guides)).abs().amax((0, 1, 4)) > 1e-9

    def same_window(position, other, length):
        # The cyclic shift takes the first `shift` positions out of the windows they touch.
        return (position - shift) // 4 == (other - shift) // 4 and abs(position - other) < length

    expected = torch.tensor(
        [[same_window(i, y, height) and same_window(j, z, width) for j in range(width)]
         for i in range(height)]
    )  # fmt: skip
    assert torch.equal(change, expected)


def test_sine_encoding_of_a_position_by_hand():
    encoding = sine_encoding(8, 3, 5, torch.device("cpu"))
    assert encoding.shape == (3, 5, 8)
    y, x = 2 / (3 + 1e-6) * 2 * math.pi, 4 / (5 + 1e-6) * 2 * math.pi
    expected = [f(a / p) for a in (y, x) for p in (1, 100) for f in (math.sin, math.cos)]
    assert encoding[1, 3].tolist() == pytest.approx(expected, abs=1e-5)


def test_grid_embedding_keeps_cls_and_its_own_size():
    embedding = torch.randn(1 + 16, 6)
    assert torch.equal(resize_grid_embedding(embedding, (4, 4), (4, 4)), embedding)
    resized = resize_grid_embedding(embedding, (2, 8), (6, 9))
    assert resized.shape == (1 + 54, 6)
    assert torch.equal(resized[0], embedding[0])


def test_cosine_maps_against_torch():
    text, dense = torch.randn(2, 3, 7), torch.randn(2, 7, 4, 5)
    expected = F.cosine_similarity(text[:, :, :, None, None], dense[:, None], dim=2)
    torch.testing.assert_close(cosine_maps(text, dense), expected)
    torch.testing.assert_close(cosine_maps(text[0], dense)[0], expected[0])


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 9), (5, 3)])
def test_swin_attention_against_shifted_masked_windows(height, width):
    """As the paper writes it: pad, shift in a circle, mask what was not together before."""
    torch.manual_seed(0)
    window, shift, heads = 4, 2, 2
    block = GuidedSwinBlock(8, 4, heads, window, shift).double()
    q, k, v = torch.randn(3, 2, 3, height, width, 8, dtype=torch.double).unbind(0)
    bottom, right = -height % window, -width % window

    def to_windows(x):
        """... h w D -> ... windows window^2 D"""
        x = F.pad(x, (0, 0, 0, right, 0, bottom)).roll((-shift, -shift), (-3, -2))
        x = x.unflatten(-2, (-1, window)).unflatten(-4, (-1, window)).transpose(-4, -3)
        return x.flatten(-3, -2).flatten(-4, -3)

    # Where a token stood: its side of the circle's seam, and whether it is padding.
    y, x = torch.arange(height + bottom), torch.arange(width + right)
    seam = (y < shift).long()[:, None] * 2 + (x < shift).long()[None]
    padding = ((y >= height)[:, None] | (x >= width)[None]).long() * 4
    place = to_windows((seam + padding)[:height, :width, None].double())
    real = to_windows(torch.ones(height, width, 1, dtype=torch.double))
    together = (place == place.transpose(-1, -2)) & (real == real.transpose(-1, -2))

    split = [to_windows(part).unflatten(-1, (heads, -1)).transpose(-2, -3) for part in (q, k, v)]
    out = F.scaled_dot_product_attention(*split, attn_mask=together[:, None])
    out = out.transpose(-2, -3).flatten(-2)
    rows = (height + bottom) // window
    out = out.unflatten(-3, (rows, -1)).unflatten(-2, (window, window)).transpose(-4, -3)
    out = out.flatten(-3, -2).flatten(-4, -3).roll((shift, shift), (-3, -2))
    torch.testing.assert_close(block._attend(q, k, v), out[..., :height, :width, :])


@pytest.mark.parametrize("maps", [1, 3])
def test_upsampling_is_two_convolutions_and_guidance_in_between(maps):
    torch.manual_seed(0)
    layer = GuidedUpsample(12, 16, 4).double()
    x = torch.randn(2, maps, 3, 5, 12, dtype=torch.double)
    guidance = torch.randn(2, 4, 6, 10, dtype=torch.double)
    upsampled = layer.up(x.flatten(0, 1).permute(0, 3, 1, 2))
    both = torch.cat((upsampled, guidance.repeat_interleave(maps, dim=0)), dim=1)
    expected = layer.conv(both).permute(0, 2, 3, 1).unflatten(0, (2, maps))
    actual = layer.guided_by(guidance)(x)
    torch.testing.assert_close(actual, expected)
    parameters = list(layer.parameters())
    factor = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad((actual * factor).sum(), parameters),
        torch.autograd.grad((expected * factor).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_upsampling_without_guidance():
    up, conv = nn.ConvTranspose2d(6, 5, 2, stride=2), DoubleConv(5, 7)
    x = torch.randn(1, 2, 4, 3, 6)
    expected = conv(up(x.flatten(0, 1).permute(0, 3, 1, 2))).permute(0, 2, 3, 1).unsqueeze(0)
    actual = Upsampling(up, conv, (8, 6))(x)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("then", ["none", "relu", "gelu"])
def test_linear_is_torchs_own(then):
    activation = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}[then]
    x, weight, bias = torch.randn(3, 7, 10), torch.randn(4, 20)[:, :10], torch.randn(4)
    expected = activation(F.linear(x, weight, bias))
    torch.testing.assert_close(linear(x, weight, bias, then), expected)
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, bias, then), expected, atol=1e-5, rtol=1e-5)
        assert linear(x.double(), weight.double(), then=then).dtype == torch.double
        with torch.autocast("cpu", torch.bfloat16):
            assert linear(x, weight, bias, then).dtype == torch.bfloat16


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_mlp_is_the_sequence_of_its_layers(activation):
    layer, x = MLP(6, activation), torch.randn(2, 5, 6)
    expected = nn.Sequential(*layer)(x)
    torch.testing.assert_close(layer(x), expected)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_linear_like_another_shares_its_parameters():
    layer = nn.Linear(3, 4, bias=False)
    same = Linear.like(layer)
    assert same.weight is layer.weight and same.bias is None


@pytest.mark.parametrize(("length", "dim"), [(1, 1), (5, 1), (7, 2), (8, 2)])
def test_chunks_give_what_the_whole_gives(monkeypatch, length, dim):
    shape = [2, 3, 4]
    shape[dim] = length
    x, other = torch.randn(shape), torch.randn(shape)
    monkeypatch.setitem(chunks._ELEMENTS, "cpu", 3 * x.numel() // length)
    lengths = []

    def function(x, missing, other):
        assert missing is None
        lengths.append(x.shape[dim])
        return torch.stack((x * other, x), dim=-1)

    with torch.no_grad():
        actual = in_chunks(function, x, None, other, dim=dim)
    assert torch.equal(actual, function(x, None, other))
    assert lengths[:-1] == [3] * (length // 3) + [length % 3] * (length % 3 > 0)


def test_chunks_with_gradients(monkeypatch):
    x = torch.randn(2, 9, 3, requires_grad=True)
    monkeypatch.setitem(chunks._ELEMENTS, "cpu", 4 * 2 * 3)
    calls = []

    def function(x):
        calls.append(len(x))
        return x.sin() * x

    (expected,) = torch.autograd.grad(in_chunks(function, x).square().sum(), x)
    assert len(calls) == 1
    (actual,) = torch.autograd.grad(in_chunks(function, x, recompute=True).square().sum(), x)
    assert len(calls) == 1 + 2 * 3
    torch.testing.assert_close(actual, expected)
