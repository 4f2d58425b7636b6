"""Packed attention of open_clip's and timm's blocks -> attention with separate q, k and v.

Letters: N batch, L tokens, E embedding, H heads, d channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from open_clip.transformer import Attention as OpenCLIPAttention
from timm.layers import Attention, AttentionRope, apply_rot_embed_cat
from timm.models.eva import EvaAttention
from torch import Tensor, nn

from ..layers.attention import SplitQKVAttention, split_linear
from ..layers.linear import Linear
from .block_parts import TAKE_APART


class SplitSelfAttention(SplitQKVAttention):
    """The same for blocks that hand over one sequence, as timm's do, with or without rotary places.

    Args:
        rotate_half: the halves of a head's channels are turned against each other, not neighbors.
        arguments: of `SplitQKVAttention`.
    """

    def __init__(self, *projections: nn.Linear, rotate_half: bool = False, **arguments: Any):
        super().__init__(*projections, **arguments)
        self.rotate_half = rotate_half

    # The arguments of timm's attention, not of torch's.
    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        rope: Tensor | None = None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Attend.

        Args:
            x: N x L x E.
            rope: what timm makes of the places of the last tokens, ... x places x 2d.
            attn_mask: L x L, added to the scores.
            is_causal: part of timm's signature; a tower is not.

        Returns:
            N x L x E.
        """
        assert not is_causal
        return self.self_attend(x, rope, attn_mask)

    def turned(self, heads: Tensor, rope: Tensor | None) -> Tensor:
        """See `SplitQKVAttention`: tokens in front have no place, and stay."""
        if rope is None:
            return heads
        front = heads.shape[2] - rope.shape[-2]
        turned = apply_rot_embed_cat(heads[:, :, front:], rope, half=self.rotate_half)
        return torch.cat((heads[:, :, :front], turned.to(heads.dtype)), dim=2)


def split_attention(model: nn.Module) -> None:
    """Give every transformer block of a model separate q, k and v parameters, in place.

    Blocks of another build, and those whose attention does more than ours, stay as they are.
    """
    for block in (module for module in model.modules() if type(module) in TAKE_APART):
        convert = _CONVERTERS.get(type(block.attn))
        if convert is not None and (split := convert(block.attn)) is not None:
            block.attn = split
        for part in block.get_submodule("mlp").modules():
            for name, layer in part.named_children():
                if type(layer) is nn.Linear:
                    setattr(part, name, Linear.like(layer))


def _of_open_clip(attention: Any) -> SplitSelfAttention | None:
    if attention.scaled_cosine or attention.scale_heads:
        return None
    return SplitSelfAttention(
        *split_linear(attention.in_proj_weight, attention.in_proj_bias, 3),
        Linear.like(attention.out_proj),
        num_heads=attention.num_heads,
        q_norm=attention.ln_q,
        k_norm=attention.ln_k,
        inner_norm=attention.ln_inner,
    )


def _of_timm(attention: Any) -> SplitSelfAttention:
    if getattr(attention, "q_proj", None) is not None:
        layers = (attention.q_proj, attention.k_proj, attention.v_proj)
        projections = [Linear.like(layer) for layer in layers]
    else:
        bias = attention.qkv.bias
        # EVA's packed layer has the biases of q and v beside it, and none of k.
        if getattr(attention, "q_bias", None) is not None:
            bias = torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
        projections = split_linear(attention.qkv.weight, bias, 3)
        if isinstance(attention, EvaAttention):
            projections[1] = Linear.of(projections[1].weight, None)
    return SplitSelfAttention(
        *projections,
        Linear.like(attention.proj),
        num_heads=attention.num_heads,
        kv_heads=getattr(attention, "num_kv_heads", None),
        q_norm=attention.q_norm,
        k_norm=attention.k_norm,
        # Earlier releases of timm have neither.
        inner_norm=getattr(attention, "norm", None),
        gate=getattr(attention, "gate", None),
        rotate_half=getattr(attention, "rotate_half", False),
    )


_CONVERTERS: dict[type, Callable[[Any], SplitQKVAttention | None]] = {
    nn.MultiheadAttention: SplitQKVAttention.from_packed,
    OpenCLIPAttention: _of_open_clip,
    Attention: _of_timm,
    AttentionRope: _of_timm,
    EvaAttention: _of_timm,
}
