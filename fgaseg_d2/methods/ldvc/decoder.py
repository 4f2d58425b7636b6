"""The decoder: vision features move toward the classes' anchors, layer by layer, to masks.

Letters: B images, N classes, h w token grid, L = h w, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...modeling.layers.linear import Linear
from .route_attention import SelfAttention, multi_head

Pair = tuple[Tensor, Tensor]


class MaskLayer(nn.Module):
    """What every layer begins with, and all of the last one: consensus, and a mask of each class.

    Args:
        dim: C.
        heads: of the cross attention; divides C.
        anchor: "class": the tokens are the queries of the cross attention; "vision": the classes.
        consensus: self-attention between the tokens, None for none.
        dropout: of what a branch adds, in training.
    """

    def __init__(
        self, *, dim: int, heads: int, anchor: str, consensus: SelfAttention | None, dropout: float
    ) -> None:
        super().__init__()
        self.heads, self.anchor = heads, anchor
        self.consensus = consensus
        if consensus is not None:
            self.consensus_norm = nn.LayerNorm(dim)
        self.q, self.k = Linear(dim, dim), Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vision: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the layer.

        Args:
            vision: B x h x w x C.
            text: B x N x C.

        Returns:
            Both anew, and the logits of the masks, B x N x h x w, float32.
        """
        if self.consensus is not None:
            added = self.dropout(self.consensus(vision))
            vision = self.consensus_norm(vision + added)
        grid = vision.shape[1:3]
        queries, keys = self.roles(vision.flatten(1, 2), text)
        q, k = self.q(queries), self.k(keys)
        queries, masks = self.look(queries, keys, q, k)
        tokens, text = self.roles(queries, keys)
        return tokens.unflatten(1, grid), text, masks.unflatten(2, grid)

    def roles(self, first: Tensor, second: Tensor) -> Pair:
        """Tokens and classes -> queries and keys, and back."""
        return (first, second) if self.anchor == "class" else (second, first)

    def look(self, queries: Tensor, keys: Tensor, q: Tensor, k: Tensor) -> Pair:
        """The queries as they are, and the masks of the projected ones: B x N x L."""
        return queries, self.masks(q, k, scale=self.attention_scale(q.shape[-1]))

    def attention_scale(self, dim: int) -> float:
        """What the mean over heads of attention's scores divides products over C channels by."""
        return self.heads * math.sqrt(dim / self.heads)

    @torch.no_grad()
    def start_as_cosine(self, gain: float, lengths: float) -> None:
        """Add to both projections what makes the scores `gain` times the cosine of their inputs.

        Args:
            gain: of the cosine.
            lengths: the product of the inputs' norms.
        """
        dim = self.q.weight.shape[0]
        diagonal = math.sqrt(gain * self.attention_scale(dim) / lengths)
        for projection in (self.q, self.k):
            projection.weight.diagonal().add_(diagonal)

    def masks(self, queries: Tensor, keys: Tensor, scale: float) -> Tensor:
        """Products of tokens and classes over a scale: B x N x L, float32."""
        tokens, classes = self.roles(queries.float(), keys.float())
        with torch.autocast(tokens.device.type, enabled=False):
            return classes @ tokens.transpose(1, 2) / scale


class AnchorLayer(MaskLayer):
    """A whole layer: behind the masks the queries take from their anchors, and an MLP follows.

    The masks are the mean over the heads of the cross attention's scores before the softmax.

    Args:
        dim: C.
        settings: of `MaskLayer`.
    """

    def __init__(self, *, dim: int, dropout: float, **settings: object) -> None:
        super().__init__(dim=dim, dropout=dropout, **settings)  # type: ignore[arg-type]
        self.v, self.out = Linear(dim, dim), Linear(dim, dim)
        self.norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            Linear(dim, 4 * dim), nn.ReLU(), nn.Dropout(dropout), Linear(4 * dim, dim)
        )

    def look(self, queries: Tensor, keys: Tensor, q: Tensor, k: Tensor) -> Pair:
        """See `MaskLayer`; the queries have moved."""
        _, masks = super().look(queries, keys, q, k)
        taken = self.out(multi_head(q, k, self.v(keys), self.heads))
        queries = self.norm(queries + self.dropout(taken))
        return self.mlp_norm(queries + self.dropout(self.mlp(queries))), masks


class DotLayer(AnchorLayer):
    """A whole layer whose masks are the products of what comes out of it."""

    def look(self, queries: Tensor, keys: Tensor, q: Tensor, k: Tensor) -> Pair:
        """See `MaskLayer`."""
        queries, _ = super().look(queries, keys, q, k)
        return queries, self.masks(queries, keys, scale=math.sqrt(queries.shape[-1]))


def build_layers(
    layers: int, mask: str, consensus: Callable[[], SelfAttention | None], **settings: object
) -> nn.ModuleList:
    """The decoder's layers; no parameter is behind the last masks.

    Args:
        layers: 1 or more.
        mask: "attention" or "dot".
        consensus: makes the self-attention of a layer.
        settings: of `MaskLayer`.
    """
    kinds: list[type[MaskLayer]] = [AnchorLayer] * (layers - 1) + [MaskLayer]
    if mask == "dot":
        kinds = [DotLayer] * layers
    return nn.ModuleList(kind(consensus=consensus(), **settings) for kind in kinds)  # type: ignore[arg-type]
