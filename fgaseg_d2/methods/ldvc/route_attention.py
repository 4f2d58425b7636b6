"""Self-attention over a picture's tokens, whole or along routes from window to window.

Letters: B images, h w token grid, n windows, t tokens of a window, C channels, k windows chosen.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.layers.linear import Linear


class SelfAttention(nn.Module):
    """Every token attends to every token.

    Args:
        dim: C.
        heads: divides C.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
        self.out = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """B x h x w x C -> B x h x w x C."""
        return self.out(self.attend(self.q(x), self.k(x), self.v(x)))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values, each B x h x w x C -> B x h x w x C."""
        tokens = multi_head(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), self.heads)
        return tokens.view_as(q)


class RouteAttention(SelfAttention):
    """Every token attends to the tokens of the windows that suit its own window best.

    How much windows suit each other is the product of their mean query and mean key over all
    channels; the choice carries no gradient, and a window need not choose itself.

    Args:
        dim: C.
        heads: divides C.
        window: tokens a side of a window.
        top: k, clipped to the number of windows.

    Source: Zhu et al., "BiFormer", CVPR 2023 (arXiv 2303.08810).
    """

    def __init__(self, dim: int, heads: int, window: int, top: int) -> None:
        super().__init__(dim, heads)
        self.window = window
        self.router = Router(top)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `SelfAttention`."""
        grid = (q.shape[1], q.shape[2])
        real = to_windows(q.new_ones(1, *grid, 1), self.window)[..., 0]
        q, k, v = (to_windows(part, self.window) for part in (q, k, v))
        routes = self.router(q.detach(), k.detach(), real)
        image = torch.arange(len(q), device=q.device)[:, None, None]
        # B x n x (k t) x C
        k, v = (part[image, routes].flatten(2, 3) for part in (k, v))
        mask = None
        if grid[0] % self.window or grid[1] % self.window:
            mask = real[0].bool()[routes].flatten(2)[:, :, None, None]
        return from_windows(multi_head(q, k, v, self.heads, mask), grid, self.window)


class Router(nn.Module):
    """Chooses windows for each window; a module without parameters, so that it can be recorded.

    Args:
        top: k.
    """

    def __init__(self, top: int) -> None:
        super().__init__()
        self.top = top

    def forward(self, q: Tensor, k: Tensor, real: Tensor) -> Tensor:
        """Choose.

        Args:
            q, k: B x n x t x C, 0 where a token is padding.
            real: 1 x n x t, 1 for a token and 0 for padding.

        Returns:
            B x n x k, numbers of windows, the best first.
        """
        tokens = real.sum(-1)[..., None]
        queries, keys = (part.float().sum(2) / tokens for part in (q, k))
        # Half precision would choose between windows that it cannot tell apart.
        with torch.autocast(q.device.type, enabled=False):
            affinity = queries @ keys.transpose(1, 2)
        return affinity.topk(min(self.top, affinity.shape[-1])).indices


def multi_head(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Attention in several heads: q ... x L x C, k and v ... x S x C -> ... x L x C.

    Args:
        q, k, v: queries, keys, values.
        heads: divides C.
        mask: broadcastable to ... x heads x L x S, False where a query must not look.
    """
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(-2, -3) for part in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out.transpose(-2, -3).flatten(-2)


def to_windows(x: Tensor, size: int) -> Tensor:
    """B x h x w x C -> B x n x t x C, zeros below and to the right where `size` does not divide."""
    x = F.pad(x, (0, 0, 0, -x.shape[2] % size, 0, -x.shape[1] % size))
    x = x.unflatten(2, (-1, size)).unflatten(1, (-1, size))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def from_windows(x: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """What `to_windows` took, without the padding: B x n x t x C -> B x h x w x C."""
    columns = -(-grid[1] // size)
    x = x.unflatten(1, (-1, columns)).unflatten(3, (size, size)).transpose(2, 3)
    return x.flatten(3, 4).flatten(1, 2)[:, : grid[0], : grid[1]]
