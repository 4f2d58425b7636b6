"""Ways to read a tower's last block densely: what each token takes from the others, what is kept.

CLIP trains its last block for the CLS token alone, so that run as it is the block mixes all places
of a picture. Each reading changes that without training; docs/TRAINING_FREE.md compares them.

Letters: B images, W width of the tower, h w token grid, L tokens: those in front (CLS, registers,
prompt tokens), then h w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.attention import SplitQKVAttention
from .block_parts import FEED_FORWARD, KEY, QUERY, BlockParts

Grid = tuple[int, int]

# NACLIP's standard deviation, in tokens.
_NEIGHBOURHOOD = 5.0


@dataclass(frozen=True)
class Places:
    """Where the tokens of a sequence are.

    Args:
        grid: h and w; the last h w tokens have a place, those in front have none.
        cls: whether the first token is CLS.
        rope: what the tower makes of the places for the queries and keys; None for nothing.
        by_block: whether that is one for each block.
    """

    grid: Grid
    cls: bool
    rope: Tensor | None = None
    by_block: bool = False

    def of_block(self, index: int) -> Places:
        """The same for one block."""
        if self.rope is None or not self.by_block:
            return self
        return replace(self, rope=self.rope[index], by_block=False)


@dataclass(frozen=True)
class DenseReading:
    """How the last block is run.

    Args:
        attend: the block's attention, its normalised tokens B x L x W and places -> B x L x W.
        residual: the block's input B x L x W and places -> what is added to that; None for nothing.
        feed_forward: whether the block's MLP, with its own residual, follows.
        unused: what of the block has no effect on the result, as in `BlockParts.members`.
        as_trained: whether the block runs as it was trained.
        unit_norm: whether embeddings of tokens are brought to length 1.
    """

    attend: Callable[[SplitQKVAttention, Tensor, Places], Tensor]
    residual: Callable[[Tensor, Places], Tensor] | None
    feed_forward: bool
    unused: tuple[str, ...] = ()
    as_trained: bool = False
    unit_norm: bool = False

    def __call__(self, block: BlockParts, tokens: Tensor, places: Places) -> Tensor:
        """Run the block: tokens B x L x W -> B x L x W, of which the last h w are dense."""
        output = block.scale(self.attend(block.attention, block.norm(tokens), places))
        if self.residual is not None:
            output = output + self.residual(tokens, places)
        if self.feed_forward:
            output = output + block.feed_forward(output)
        return output


def find_reading(name: str) -> DenseReading:
    """The reading of a name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in READINGS:
        raise ValueError(
            f"expected `dense_reading` to be one of {', '.join(READINGS)}, got '{name}'."
        )
    return READINGS[name]


def neighbourhood(grid: Grid, length: int, device: torch.device) -> Tensor:
    """What NACLIP adds to the attention's scores: a Gaussian of the distance between two places.

    Args:
        grid: h and w.
        length: L.

    Returns:
        L x L, float32: 1 for a place and itself, falling to 0 with the distance; 0 wherever CLS or
        a prompt token is one of the two.
    """
    y, x = (torch.arange(side, device=device, dtype=torch.float32) for side in grid)
    places = torch.cartesian_prod(y, x)
    squared = (places[:, None] - places).square().sum(-1)
    front = length - len(places)
    return F.pad((-squared / (2 * _NEIGHBOURHOOD**2)).exp(), (front, 0, front, 0))


def _as_trained(attention: SplitQKVAttention, tokens: Tensor, places: Places) -> Tensor:
    return attention.self_attend(tokens, places.rope)


def _own_values(attention: SplitQKVAttention, tokens: Tensor, places: Places) -> Tensor:
    return attention.project_values(tokens)


def _like_queries(attention: SplitQKVAttention, tokens: Tensor, places: Places) -> Tensor:
    return attention.finish(attention.correlate(tokens, QUERY, rope=places.rope), tokens)


def _like_queries_and_keys(attention: SplitQKVAttention, tokens: Tensor, places: Places) -> Tensor:
    # The two attention maps are added, not averaged, as in SCLIP.
    by_query = attention.correlate(tokens, QUERY, rope=places.rope)
    by_key = attention.correlate(tokens, KEY, rope=places.rope)
    return attention.finish(by_query + by_key, tokens)


def _like_both_unscaled(attention: SplitQKVAttention, tokens: Tensor, places: Places) -> Tensor:
    # Neither divided by the root of a head's channels nor turned by places, as in DeCLIP's code.
    both = attention.correlate(tokens, QUERY, scale=1) + attention.correlate(tokens, KEY, scale=1)
    return attention.finish(both, tokens)


def _like_keys_nearby(attention: SplitQKVAttention, tokens: Tensor, places: Places) -> Tensor:
    near = neighbourhood(places.grid, tokens.shape[1], tokens.device)
    return attention.finish(attention.correlate(tokens, KEY, rope=places.rope, bias=near), tokens)


def _own(tokens: Tensor, _places: Places) -> Tensor:
    return tokens


def _cls(tokens: Tensor, places: Places) -> Tensor:
    # A tower without CLS has but the token itself to stand on, as in MaskCLIP.
    return tokens[:, :1] if places.cls else tokens


READINGS = {
    # FGAseg's authors' code (and CAT-Seg's): without attention, on the residual of CLS.
    "fgaseg": DenseReading(_own_values, _cls, True, (QUERY, KEY)),
    # The block as it was trained.
    "clip": DenseReading(_as_trained, _own, True, as_trained=True),
    # MaskCLIP, arXiv 2112.01071: without attention.
    "maskclip": DenseReading(_own_values, _own, True, (QUERY, KEY)),
    # SCLIP, arXiv 2312.01597: softmax(q q^T) + softmax(k k^T).
    "sclip": DenseReading(_like_queries_and_keys, _own, True),
    # NACLIP, arXiv 2404.08181: softmax(k k^T + Gaussian), nothing but the attention.
    "naclip": DenseReading(_like_keys_nearby, None, False, (QUERY, FEED_FORWARD)),
    # ClearCLIP, arXiv 2407.12442: softmax(q q^T), nothing but the attention.
    "clearclip": DenseReading(_like_queries, None, False, (KEY, FEED_FORWARD)),
    # DeCLIP, arXiv 2505.04410, as its CAT-Seg reads EVA02-CLIP: both, nothing but the attention.
    "declip": DenseReading(_like_both_unscaled, None, False, (FEED_FORWARD,), unit_norm=True),
    # ProxyCLIP, arXiv 2408.04883: nothing but the values, which the method averages.
    # Its averages are not the tower's: `ViTTower.forward` takes them as `spread`.
    "proxyclip": DenseReading(_own_values, None, False, (QUERY, KEY, FEED_FORWARD)),
}
