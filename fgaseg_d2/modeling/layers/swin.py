"""Swin blocks with guidance.  Letters: B images, T maps an image, h w tokens, D channels."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import GuidedLinear


class GuidedSwinBlock(nn.Module):
    """Window attention over each map, queries and keys seeing a guidance vector a token, then MLP.

    No relative position bias. Maps that are no multiple of the window are padded; padding is
    masked. Source: Liu et al., "Swin Transformer", 2021; guidance as in CAT-Seg, 2024.

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
        self.v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Return x plus what it attends to.

        Args:
            x: B x T x h x w x D.
            guidance: B x h x w x guidance_dim, shared by the T maps of an image.
        """
        y, guidance = self.norm1(x), guidance.unsqueeze(1)
        x = x + self.proj(self._attend(self.q(y, guidance), self.k(y, guidance), self.v(y)))
        return x + self.mlp(self.norm2(x))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        images, maps, height, width, dim = q.shape
        window, shift = self.window, self.shift
        # A window as large as the map leaves nothing to shift to.
        shift = 0 if max(height, width) <= window else shift
        pad_y, pad_x = -height % window, -width % window
        rows, columns = (height + pad_y) // window, (width + pad_x) // window

        def to_windows(y: Tensor) -> Tensor:
            """B T h w D -> (B T) (rows columns heads) window^2 D/heads."""
            y = F.pad(y.flatten(0, 1), (0, 0, 0, pad_x, 0, pad_y))
            y = y.roll((-shift, -shift), (1, 2)) if shift else y
            y = y.reshape(-1, rows, window, columns, window, self.num_heads, dim // self.num_heads)
            return y.permute(0, 1, 3, 5, 2, 4, 6).reshape(
                len(y), -1, window * window, dim // self.num_heads
            )

        mask = None
        if shift or pad_y or pad_x:
            mask = _window_mask(height, width, window, shift, q.device)
            mask = mask.repeat_interleave(self.num_heads, dim=0)
        out = F.scaled_dot_product_attention(
            to_windows(q), to_windows(k), to_windows(v), attn_mask=mask
        )
        out = out.reshape(-1, rows, columns, self.num_heads, window, window, dim // self.num_heads)
        out = out.permute(0, 1, 4, 2, 5, 3, 6)
        out = out.reshape(-1, height + pad_y, width + pad_x, dim)
        out = out.roll((shift, shift), (1, 2)) if shift else out
        return out[:, :height, :width].reshape(images, maps, height, width, dim)


@lru_cache(maxsize=16)
def _window_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Which tokens of a window may see each other: windows x window^2 x window^2, boolean.

    Tokens that the cyclic shift brought together from opposite edges may not, nor may padding be
    seen (except by padding, so that no row of the softmax is empty).
    """
    padded_h, padded_w = height + -height % window, width + -width % window
    # A mask first made during inference serves training later, which inference tensors cannot.
    with torch.inference_mode(False):
        region_y = _regions(height, padded_h, shift)
        region_x = _regions(width, padded_w, shift)
        region = (region_y[:, None] * 4 + region_x[None, :]).roll((-shift, -shift), (0, 1))
        region = region.reshape(padded_h // window, window, padded_w // window, window)
        region = region.transpose(1, 2).reshape(-1, window * window)
        return (region[:, :, None] == region[:, None, :]).to(device)


def _regions(length: int, padded: int, shift: int) -> Tensor:
    """Label positions of one axis, before the shift, by the side they may look at."""
    region = torch.zeros(padded, dtype=torch.long)
    region[:shift] = 1  # wraps round to the end
    region[length:] = 2
    return region
