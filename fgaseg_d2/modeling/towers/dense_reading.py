"""Ways to read CLIP's last block densely: what each token takes from the others, and what is kept.

CLIP trains its last block for the CLS token alone, so that run as it is the block mixes all places
of a picture. Each reading changes that without training; docs/TRAINING_FREE.md compares them.

Letters: B images, W width of the tower, h w token grid, L tokens: CLS, prompt tokens, then h w.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.attention import SplitQKVAttention

Grid = tuple[int, int]

# NACLIP's standard deviation, in tokens.
_NEIGHBOURHOOD = 5.0


@dataclass(frozen=True)
class DenseReading:
    """How the last block is run.

    Args:
        attend: the block's attention, its normalised tokens B x L x W and the grid -> B x L x W.
        residual: the block's input B x L x W -> what is added to that; None for nothing.
        feed_forward: whether the block's MLP, with its own residual, follows.
        unused: the parts of the block that have no effect on the result.
        as_trained: whether the block is run as CLIP was trained.
    """

    attend: Callable[[SplitQKVAttention, Tensor, Grid], Tensor]
    residual: Callable[[Tensor], Tensor] | None
    feed_forward: bool
    unused: tuple[str, ...] = ()
    as_trained: bool = False

    def __call__(self, block: Any, tokens: Tensor, grid: Grid) -> Tensor:
        """Run the block: tokens B x L x W -> B x L x W, of which the last h w are dense."""
        output = block.ls_1(self.attend(block.attn, block.ln_1(tokens), grid))
        if self.residual is not None:
            output = output + self.residual(tokens)
        if self.feed_forward:
            output = output + block.ls_2(block.mlp(block.ln_2(output)))
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


def _as_trained(attention: SplitQKVAttention, tokens: Tensor, _grid: Grid) -> Tensor:
    return attention(tokens, tokens, tokens)[0]


def _own_values(attention: SplitQKVAttention, tokens: Tensor, _grid: Grid) -> Tensor:
    return attention.project_values(tokens)


def _like_queries(attention: SplitQKVAttention, tokens: Tensor, _grid: Grid) -> Tensor:
    return attention.out_proj(attention.correlate(tokens, attention.q_proj))


def _like_queries_and_keys(attention: SplitQKVAttention, tokens: Tensor, _grid: Grid) -> Tensor:
    # The two attention maps are added, not averaged, as in SCLIP.
    by_query = attention.correlate(tokens, attention.q_proj)
    return attention.out_proj(by_query + attention.correlate(tokens, attention.k_proj))


def _like_keys_nearby(attention: SplitQKVAttention, tokens: Tensor, grid: Grid) -> Tensor:
    near = neighbourhood(grid, tokens.shape[1], tokens.device)
    return attention.out_proj(attention.correlate(tokens, attention.k_proj, near))


def _own(tokens: Tensor) -> Tensor:
    return tokens


def _cls(tokens: Tensor) -> Tensor:
    return tokens[:, :1]


_QUERY, _KEY, _FEED_FORWARD = "attn.q_proj", "attn.k_proj", ("ln_2", "mlp", "ls_2")

READINGS = {
    # FGAseg's authors' code (and CAT-Seg's): without attention, on the residual of CLS.
    "fgaseg": DenseReading(_own_values, _cls, True, (_QUERY, _KEY)),
    # The block as CLIP was trained.
    "clip": DenseReading(_as_trained, _own, True, as_trained=True),
    # MaskCLIP, arXiv 2112.01071: without attention.
    "maskclip": DenseReading(_own_values, _own, True, (_QUERY, _KEY)),
    # SCLIP, arXiv 2312.01597: softmax(q q^T) + softmax(k k^T).
    "sclip": DenseReading(_like_queries_and_keys, _own, True),
    # NACLIP, arXiv 2404.08181: softmax(k k^T + Gaussian), nothing but the attention.
    "naclip": DenseReading(_like_keys_nearby, None, False, (_QUERY, *_FEED_FORWARD)),
    # ClearCLIP, arXiv 2407.12442: softmax(q q^T), nothing but the attention.
    "clearclip": DenseReading(_like_queries, None, False, (_KEY, *_FEED_FORWARD)),
}
