"""Swin blocks with guidance.  Letters: B images, T maps an image, h w tokens, D channels."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import GuidedLinear
from .linear import MLP, Linear


class GuidedSwinBlock(nn.Module):
    """Window attention over each map, queries and keys seeing a guidance vector a token, then MLP.

    No relative position bias. Source: Liu et al., "Swin Transformer", 2021; guidance as in
    CAT-Seg, 2024.

    Args:
        dim: D.
        guidance_dim: channels of the guidance.
        num_heads: attention heads; divides D.
        window: tokens a side of a window.
        shift: tokens that the windows are moved by, 0 for none.
    """

    def __init__(
        self, dim: int, guidance_dim: int, num_heads: int, window: int, shift: int
    ) -> None:
        super().__init__()
        self.num_heads, self.window, self.shift = num_heads, window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.q = GuidedLinear(dim, guidance_dim, dim)
        self.k = GuidedLinear(dim, guidance_dim, dim)
        self.v = Linear(dim, dim)
        self.proj = Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, "gelu")

    def guide(self, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """What the guidance adds to queries and keys, alike for all maps of an image.

        Args:
            guidance: B x h x w x guidance_dim.

        Returns:
            Two of B x 1 x h x w x D.
        """
        return self.q.guide(guidance).unsqueeze(1), self.k.guide(guidance).unsqueeze(1)

    def forward(self, x: Tensor, guides: tuple[Tensor, Tensor]) -> Tensor:
        """Return x plus what it attends to.

        Args:
            x: B x T x h x w x D.
            guides: what `guide` returned.
        """
        y = self.norm1(x)
        x = x + self.proj(self._attend(self.q(y, guides[0]), self.k(y, guides[1]), self.v(y)))
        return x + self.mlp(self.norm2(x))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within each window, all B x T x h x w x D.

        Swin shifts the map in a circle and masks what comes together from opposite edges. The parts
        of such a window see only themselves, so here they are windows of their own: no mask.
        """
        # A window as large as the map leaves nothing to shift to.
        shift = 0 if max(q.shape[2:4]) <= self.window else self.shift
        bands = []
        for rows in _segments(q.shape[2], self.window, shift):
            cells = [
                self._attend_within(*(x[:, :, rows, columns] for x in (q, k, v)))
                for columns in _segments(q.shape[3], self.window, shift)
            ]
            bands.append(torch.cat(cells, dim=3))
        return torch.cat(bands, dim=2)

    def _attend_within(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads = (
            x.flatten(0, 1).flatten(1, 2).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for x in (q, k, v)
        )
        out = F.scaled_dot_product_attention(*heads)
        return out.transpose(1, 2).reshape(q.shape)


def _segments(length: int, window: int, shift: int) -> list[slice]:
    """Cut one axis at the edges of the windows."""
    cuts = sorted({0, *range(shift, length, window), length})
    return [slice(start, end) for start, end in pairwise(cuts)]
