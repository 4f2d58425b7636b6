"""The decoder: states of a frozen tower -> embeddings at four times its resolution.

Letters: B pictures, W width of the tower, C joint embedding, h w token grid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ENLARGED = 4  # a token's place has so many embeddings a side


class GatedConvolution(nn.Module):
    """x + tanh(gate) convolution(GELU(norm(x))); the gate is 0 at first.

    Args:
        width: channels, W.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """B x W x h x w -> B x W x h x w."""
        normed = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.gate.tanh() * self.convolution(F.gelu(normed))


class GatedBlock(nn.Module):
    """Doubles the grid, by nearest, and refines it twice.

    Args:
        width: channels, W.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = GatedConvolution(width), GatedConvolution(width)

    def forward(self, x: Tensor) -> Tensor:
        """B x W x h x w -> B x W x 2h x 2w."""
        return self.second(self.first(F.interpolate(x, scale_factor=2, mode="nearest")))


class GatedDecoder(nn.Module):
    """Two gated blocks, and a trained copy of CLIP's last norm and projection.

    As long as the gates are 0 it gives what CLIP itself says of each token, enlarged by nearest.

    Args:
        width: W.
        channels: C.

    Source: the decoder of TCL, Cha et al., CVPR 2023 (arXiv 2212.00785).
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(GatedBlock(width), GatedBlock(width))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Parameter(torch.empty(width, channels))
        nn.init.normal_(self.projection, std=width**-0.5)

    @torch.no_grad()
    def copy_projection(self, norm: nn.LayerNorm, projection: Tensor) -> None:
        """Begin as CLIP's own norm and projection W x C are."""
        self.norm.eps = norm.eps
        self.norm.load_state_dict(norm.state_dict())
        self.projection.copy_(projection)

    def forward(self, states: Tensor) -> Tensor:
        """Embed.

        Args:
            states: of the tower's last block, B x W x h x w.

        Returns:
            B x C x 4h x 4w, unit norm over C, float32.
        """
        # Norms look at channels, which this order keeps together in memory.
        x = self.blocks(states.contiguous(memory_format=torch.channels_last))
        embeddings = self.norm(x.permute(0, 2, 3, 1)) @ self.projection
        # Half precision hardly resolves cosines.
        return F.normalize(embeddings.float(), dim=-1).permute(0, 3, 1, 2)
