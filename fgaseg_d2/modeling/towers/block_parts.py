"""A transformer block of open_clip or timm in the pieces that a dense reading puts together anew.

Letters: B images, L tokens, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock
from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block, ResPostBlock
from torch import Tensor, nn

from ..layers.attention import SplitQKVAttention

# What a reading may leave out, and what it consists of.
QUERY, KEY, FEED_FORWARD = "query", "key", "feed_forward"


@dataclass(frozen=True)
class BlockParts:
    """A block whose output is y + feed_forward(y), with y = x + scale(attention(norm(x))).

    Args:
        norm, scale, feed_forward: ... x W -> ... x W.
        attention: with split projections.
        branches: the modules at the ends of both branches, such as stochastic depth is put behind.
        members: the names of the block's members that are its query, key and feed_forward.
    """

    norm: Callable[[Tensor], Tensor]
    attention: SplitQKVAttention
    scale: Callable[[Tensor], Tensor]
    feed_forward: Callable[[Tensor], Tensor]
    branches: tuple[nn.Module, nn.Module]
    members: dict[str, tuple[str, ...]]

    def run_first(self, tokens: Tensor, rope: Tensor | None) -> Tensor:
        """The block's output for the first token alone: B x L x W -> B x 1 x W."""
        attended = self.attention.self_attend(self.norm(tokens), rope, first=1)
        first = tokens[:, :1] + self.scale(attended)
        return first + self.feed_forward(first)


def parts_of(block: Any) -> BlockParts | None:
    """The pieces of a block with split attention; None for a block of another build."""
    if not isinstance(getattr(block, "attn", None), SplitQKVAttention):
        return None
    take_apart = TAKE_APART.get(type(block))
    return None if take_apart is None else take_apart(block)


def _members(block: nn.Module, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    own = tuple(name for name in names if getattr(block, name, None) is not None)
    return {
        QUERY: ("attn.q_proj", "attn.q_norm"),
        KEY: ("attn.k_proj", "attn.k_norm"),
        FEED_FORWARD: own,
    }


def _of_open_clip(block: Any) -> BlockParts:
    # CustomResidualAttentionBlock alone has a norm behind the attention.
    behind = getattr(block, "ln_attn", nn.Identity())
    return BlockParts(
        norm=block.ln_1,
        attention=block.attn,
        scale=lambda x: block.ls_1(behind(x)),
        feed_forward=lambda x: block.ls_2(block.mlp(block.ln_2(x))),
        branches=(block.ls_1, block.ls_2),
        members=_members(block, ("ln_2", "mlp", "ls_2")),
    )


def _of_timm(block: Any) -> BlockParts:
    if isinstance(block, EvaBlock):
        scales = tuple(_times(gamma) for gamma in (block.gamma_1, block.gamma_2))
    else:
        scales = (block.ls1, block.ls2)
    return BlockParts(
        norm=block.norm1,
        attention=block.attn,
        scale=lambda x: block.drop_path1(scales[0](x)),
        feed_forward=lambda x: block.drop_path2(scales[1](block.mlp(block.norm2(x)))),
        branches=(block.drop_path1, block.drop_path2),
        members=_members(block, ("norm2", "mlp", "ls2", "gamma_2")),
    )


def _of_timm_post_norm(block: Any) -> BlockParts:
    return BlockParts(
        norm=nn.Identity(),
        attention=block.attn,
        scale=lambda x: block.drop_path1(block.norm1(x)),
        feed_forward=lambda x: block.drop_path2(block.norm2(block.mlp(x))),
        branches=(block.drop_path1, block.drop_path2),
        members=_members(block, ("norm2", "mlp")),
    )


def _times(gamma: Tensor | None) -> Callable[[Tensor], Tensor]:
    return lambda x: x if gamma is None else x * gamma


# The blocks whose attention is split, and how each comes apart.
TAKE_APART: dict[type, Callable[[Any], BlockParts]] = {
    ResidualAttentionBlock: _of_open_clip,
    CustomResidualAttentionBlock: _of_open_clip,
    Block: _of_timm,
    EvaBlock: _of_timm,
    ResPostBlock: _of_timm_post_norm,
    EvaBlockPostNorm: _of_timm_post_norm,
}
