"""Stage 3, propagation: class maps talk over space and over classes (paper, section III-D).

Letters: B images, T classes, D hidden channels, G guidance channels, h w token grid.
Class maps are kept channels last, B x T x h x w x D: every step here is a linear layer on D.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.layers.attention import GuidedLinear, linear_attention
from ...modeling.layers.chunks import in_chunks
from ...modeling.layers.linear import MLP, Linear
from ...modeling.layers.swin import GuidedSwinBlock
from ...modeling.layers.upsampling import from_maps, to_maps

FUSIONS = ("cat", "add")
Padding = tuple[Tensor, Tensor, int]  # key and value of a token, and how many there are


class Fusion(nn.Module):
    """Bring two class maps together: "cat" (concatenate and project) or "add".

    Args:
        dim: channels of each of the maps and of the result.
        mode: "cat" or "add".
    """

    def __init__(self, dim: int, mode: str) -> None:
        super().__init__()
        if mode not in FUSIONS:
            raise ValueError(f"expected `mode` 'cat' or 'add', got '{mode}'.")
        self.project = Linear(2 * dim, dim) if mode == "cat" else None

    def forward(self, x: Tensor, local: Tensor | None) -> Tensor:
        """Two maps ... x dim -> ... x dim; without a local map (LCS off) x comes back."""
        if local is None:
            return x
        if self.project is None:
            return x + local
        return self.project(torch.cat((x, local), dim=-1))


class MapEmbedding(nn.Module):
    """Similarity maps B x T x h x w -> class maps B x T x h x w x D, by a 7 x 7 convolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, dim, 7, padding=3)

    def forward(self, similarity: Tensor) -> Tensor:
        """Embed every class's map alike."""
        maps = self.conv(to_maps(similarity.unsqueeze(-1)))
        return from_maps(maps, similarity.shape[:2]).contiguous()


class SpatialAggregation(nn.Module):
    """Two Swin blocks on every class map, the second shifted by half a window."""

    def __init__(
        self, dim: int, guidance_dim: int, heads: int, window: int, recompute: bool = False
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.guidance_norm = nn.LayerNorm(guidance_dim)
        self.block1 = GuidedSwinBlock(dim, guidance_dim, heads, window, shift=0)
        self.block2 = GuidedSwinBlock(dim, guidance_dim, heads, window, shift=window // 2)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Class maps B x T x h x w x D, guidance B x h x w x G -> class maps."""
        guidance = self.guidance_norm(guidance)
        guides1, guides2 = self.block1.guide(guidance), self.block2.guide(guidance)
        return in_chunks(
            lambda x: self.block2(self.block1(x, guides1), guides2), x, recompute=self.recompute
        )


class ClassAggregation(nn.Module):
    """Linear attention over the classes at every (pooled) position.

    Args:
        dim: D.
        guidance_dim: G.
        heads: attention heads.
        pad_to: with fewer classes the sequence counts as padded to this length with a learned
            token, which the classes attend to.
        recompute: compute activations again in the backward pass instead of keeping them.
    """

    def __init__(
        self, dim: int, guidance_dim: int, heads: int, pad_to: int, recompute: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.pad_to, self.recompute = heads, pad_to, recompute
        self.norm1 = nn.LayerNorm(dim)
        self.q = GuidedLinear(dim, guidance_dim, dim)
        self.k = GuidedLinear(dim, guidance_dim, dim)
        self.v = Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, "relu")
        self.pad_token = nn.Parameter(torch.zeros(dim))
        self.pad_guidance = nn.Parameter(torch.zeros(guidance_dim))

    def forward(self, x: Tensor, guidance: Tensor, pooling: tuple[int, int]) -> Tensor:
        """Let the classes see each other.

        Args:
            x: B x T x h x w x D.
            guidance: B x T x G, one vector a class.
            pooling: height and width of the average pooling before the attention.

        Returns:
            B x T x h x w x D.
        """
        guidance = guidance[:, None, None]
        guides = self.q.guide(guidance), self.k.guide(guidance)
        padding = self._padding(x.shape[1])
        pooled = _pool(x, pooling)
        # The classes of a position need each other, but positions do not: cut along the rows.
        seen = in_chunks(
            lambda rows: self._attend(rows, guides, padding),
            pooled,
            dim=2,
            recompute=self.recompute,
        )
        return x + _unpool(seen, x.shape[2:4])

    def _attend(self, x: Tensor, guides: tuple[Tensor, Tensor], padding: Padding) -> Tensor:
        """At each position by itself: B x T x h x w x D -> the same shape."""
        y = self.norm1(x).permute(0, 2, 3, 1, 4)  # B h w T D: the classes are the sequence
        parts = self.q(y, guides[0]), self.k(y, guides[1]), self.v(y)
        q, k, v = (self._heads(part) for part in parts)
        seen = linear_attention(q, k, v, extra=padding).flatten(-2).to(x.dtype)
        x = x + seen.permute(0, 3, 1, 2, 4)
        return x + self.mlp(self.norm2(x))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))

    def _padding(self, classes: int) -> Padding:
        """Key and value of the padding token, and how often it stands in the sequence."""
        # A batch of one, and a copy: counters of operations know neither the norm of a single
        # vector nor a module that is given a parameter.
        token = self.norm1(self.pad_token.repeat(1, 1)).squeeze(0)
        key, value = self.k(token, self.k.guide(self.pad_guidance)), self.v(token)
        return self._heads(key), self._heads(value), max(0, self.pad_to - classes)


class Aggregation(nn.Module):
    """Spatial and class aggregation in turn, guided by the picture and by the text.

    Args:
        dim: D.
        embed_dim: C, channels of the dense map and of the text.
        guidance_dim: G.
        layers: pairs of spatial and class aggregation.
        heads: attention heads of both.
        window: tokens a side of a Swin window.
        pad_to: see `ClassAggregation`.
        pooling_train, pooling_test: average pooling in front of the class attention.
        recompute: compute activations again in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        *,
        dim: int,
        embed_dim: int,
        guidance_dim: int,
        layers: int,
        heads: int,
        window: int,
        pad_to: int,
        pooling_train: Sequence[int],
        pooling_test: Sequence[int],
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"expected `heads` to divide `dim` {dim}, got {heads}.")
        if window < 2:
            raise ValueError(f"expected `window` of 2 or more, got {window}.")
        self.pooling_train, self.pooling_test = tuple(pooling_train), tuple(pooling_test)
        self.image_guidance = nn.Sequential(
            nn.Conv2d(embed_dim, guidance_dim, 3, padding=1), nn.ReLU()
        )
        self.text_guidance = nn.Sequential(nn.Linear(embed_dim, guidance_dim), nn.ReLU())
        self.spatial = nn.ModuleList(
            SpatialAggregation(dim, guidance_dim, heads, window, recompute) for _ in range(layers)
        )
        self.classes = nn.ModuleList(
            ClassAggregation(dim, guidance_dim, heads, pad_to, recompute) for _ in range(layers)
        )

    def forward(self, x: Tensor, text: Tensor, dense: Tensor) -> Tensor:
        """Propagate.

        Args:
            x: class maps, B x T x h x w x D.
            text: B x T x C.
            dense: B x C x h x w.

        Returns:
            B x T x h x w x D.
        """
        pooling = self.pooling_train if self.training else self.pooling_test
        image_guidance = self.image_guidance(dense).permute(0, 2, 3, 1)
        text_guidance = self.text_guidance(F.normalize(text, dim=2))
        for spatial, classes in zip(self.spatial, self.classes, strict=True):
            x = classes(spatial(x, image_guidance), text_guidance, pooling)
        return x


def _pool(x: Tensor, pooling: tuple[int, int]) -> Tensor:
    if pooling == (1, 1):
        return x
    if any(side > length for side, length in zip(pooling, x.shape[2:4], strict=True)):
        raise ValueError(
            "expected `pooling_train` and `pooling_test` of at most the picture's "
            f"{x.shape[2]} x {x.shape[3]} tokens, got {list(pooling)}."
        )
    return from_maps(F.avg_pool2d(to_maps(x), pooling), x.shape[:2])


def _unpool(x: Tensor, size: Sequence[int]) -> Tensor:
    if x.shape[2:4] == tuple(size):
        return x
    maps = F.interpolate(to_maps(x), tuple(size), mode="bilinear", align_corners=True)
    return from_maps(maps, x.shape[:2])
