"""Stage 1, pixel-text alignment: text looks at the picture (paper, section III-B).

Letters: B images, T classes, C joint embedding, h w token grid.
"""

import torch
from torch import Tensor, nn

from ...modeling.layers.position import sine_encoding


class P2TLayer(nn.Module):
    """Text queries attend to pixels: T + Linear(attention), then LayerNorm."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.linear = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, text: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Text B x T x C, keys and values B x (h w) x C -> B x T x C."""
        seen, _ = self.attention(text, keys, values, need_weights=False)
        return self.norm(text + self.linear(seen))


class P2Tformer(nn.Module):
    """Make the text embeddings specific to each image.

    Args:
        dim: C, a multiple of 4 and of `heads`.
        layers: depth; 0 returns the text as it came.
        heads: attention heads.
        gamma: initial weight of what the layers add to the text, one value a channel.
        gamma_trainable: whether that weight learns.
    """

    def __init__(
        self,
        dim: int,
        *,
        layers: int = 1,
        heads: int = 8,
        gamma: float = 0.1,
        gamma_trainable: bool = True,
    ) -> None:
        super().__init__()
        if layers and dim % heads:
            raise ValueError(f"expected `heads` to divide CLIP's {dim} channels, got {heads}.")
        self.layers = nn.ModuleList(P2TLayer(dim, heads) for _ in range(layers))
        if layers:
            self.gamma = nn.Parameter(torch.full((dim,), gamma), requires_grad=gamma_trainable)

    def forward(self, text: Tensor, dense: Tensor) -> Tensor:
        """Align text with pixels.

        Args:
            text: T x C, unit norm.
            dense: B x C x h x w.

        Returns:
            B x T x C, not normalised.
        """
        text = text.expand(len(dense), -1, -1)
        if not self.layers:
            return text
        _, channels, height, width = dense.shape
        encoding = sine_encoding(channels, height, width, device=dense.device)
        pixels = dense.flatten(2).transpose(1, 2)
        keys = pixels + encoding.flatten(0, 1).to(pixels.dtype)
        aligned = text
        for layer in self.layers:
            aligned = layer(aligned, keys, pixels)
        return text + self.gamma * aligned
