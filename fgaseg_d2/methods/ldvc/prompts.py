"""Deep prompts of the image tower, as in visual prompt tuning (arXiv 2203.12119).

Letters: B images, n tokens a block, W width of the tower.
"""

import math

import torch
from torch import Tensor, nn


class VisionPrompts(nn.Module):
    """Learned tokens for every block, which share a projection.

    Args:
        blocks: of the tower.
        length: n.
        width: W.
        patch_size: pixels a side, which the bound of the initial values depends on.
        dropout: of the projected tokens, in training.
    """

    def __init__(
        self, *, blocks: int, length: int, width: int, patch_size: int, dropout: float
    ) -> None:
        super().__init__()
        bound = math.sqrt(6 / (3 * patch_size**2 + width))
        self.tokens = nn.Parameter(torch.empty(blocks, length, width).uniform_(-bound, bound))
        self.project = nn.Linear(width, width)
        nn.init.kaiming_normal_(self.project.weight, a=0, mode="fan_out")
        nn.init.zeros_(self.project.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, images: int) -> tuple[Tensor, ...]:
        """Tokens for each block, B x n x W, for so many images."""
        projected = self.project(self.tokens)
        return tuple(self.dropout(block.expand(images, -1, -1)) for block in projected)
