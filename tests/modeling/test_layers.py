"""Layers against independent computations."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fgaseg_d2.modeling.layers.attention import GuidedLinear, SplitQKVAttention, linear_attention
from fgaseg_d2.modeling.layers.position import resize_grid_embedding, sine_encoding
from fgaseg_d2.modeling.layers.similarity import cosine_maps
from fgaseg_d2.modeling.layers.swin import GuidedSwinBlock


def test_split_attention_computes_what_the_packed_one_does():
    packed = nn.MultiheadAttention(24, 4, batch_first=True)
    nn.init.normal_(packed.in_proj_bias)
    split = SplitQKVAttention.from_packed(packed)
    x, mask = torch.randn(3, 7, 24), torch.full((7, 7), -math.inf).triu(1)
    expected, _ = packed(x, x, x, need_weights=False, attn_mask=mask)
    torch.testing.assert_close(split(x, x, x, attn_mask=mask)[0], expected)


def test_guided_linear_is_a_linear_of_both_together():
    layer, x, guidance = GuidedLinear(5, 3, 4), torch.randn(2, 6, 5), torch.randn(2, 1, 3)
    both = torch.cat((x, guidance.expand(-1, 6, -1)), dim=-1)
    expected = F.linear(both, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x, guidance), expected)


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
        change = (block(touched, guidance) - block(x, guidance)).abs().amax((0, 1, 4)) > 1e-9

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
