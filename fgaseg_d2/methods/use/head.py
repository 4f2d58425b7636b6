"""USE's head: levels of frozen towers -> one embedding a patch -> one a segment.

Letters: B images, M segments of one, D channels of a patch, C joint embedding, h w patch grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.layers.area_pooling import area_shares, mask_means
from ...modeling.layers.linear import Linear

_FIRST_SCALE = 1 / 8  # with 1, all segments of a picture would begin alike


class LinearNorm(nn.Sequential):
    """LLN: a projection and a LayerNorm.

    Args:
        channels: of the input.
        dim: of the output.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__(Linear(channels, dim, bias=False), nn.LayerNorm(dim))


class USEHead(nn.Module):
    """Sums the levels and global embeddings of all towers, and embeds segments in the joint space.

    Args:
        levels: channels of each level, by name.
        wholes: channels of each tower's global embedding, by name; empty for none.
        dim: D.
        embed_dim: C.
    """

    def __init__(
        self, *, levels: Mapping[str, int], wholes: Mapping[str, int], dim: int, embed_dim: int
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleDict({name: LinearNorm(n, dim) for name, n in levels.items()})
        self.wholes = nn.ModuleDict({name: LinearNorm(n, dim) for name, n in wholes.items()})
        self.level_scales = nn.Parameter(torch.full((len(levels),), _FIRST_SCALE))
        if wholes:
            self.whole_scales = nn.Parameter(torch.full((len(wholes),), _FIRST_SCALE))
        self.embed = Linear(dim, embed_dim)

    def patches(self, features: Mapping[str, Tensor]) -> Tensor:
        """Sum what the towers say of each patch.

        Args:
            features: levels B x W x h x w, whose grids may differ, and global embeddings B x W, by
                name.

        Returns:
            B x h x w x D, on the finest grid.
        """
        grid = max((features[name].shape[2:] for name in self.levels), key=torch.Size.numel)
        total: Tensor | None = None
        for (name, norm), scale in zip(self.levels.items(), self.level_scales, strict=True):
            level = scale * norm(features[name].permute(0, 2, 3, 1))
            if level.shape[1:3] != grid:
                maps = level.permute(0, 3, 1, 2).float()
                maps = F.interpolate(maps, tuple(grid), mode="bilinear")
                level = maps.permute(0, 2, 3, 1)
            total = level if total is None else total + level
        assert total is not None
        for index, (name, norm) in enumerate(self.wholes.items()):
            total = total + self.whole_scales[index] * norm(features[name])[:, None, None]
        return total

    def segments(self, patches: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Embed the segments of one picture.

        Args:
            patches: h x w x D of `patches`.
            masks: M x H x W bool, of any size; they may overlap.

        Returns:
            N x C, unit norm, of those that are not empty, and the N numbers of these.
        """
        kept = masks.flatten(1).any(1).nonzero().squeeze(1)
        shares = area_shares(masks[kept], (patches.shape[0], patches.shape[1]))
        # Weights of large masks are smaller than half precision tells apart.
        with torch.autocast(patches.device.type, enabled=False):
            means = mask_means(shares, patches.float().permute(2, 0, 1))
        return F.normalize(self.embed(means).float(), dim=-1), kept

    def dense(self, patches: Tensor) -> Tensor:
        """Every patch as if it were a segment: B x h x w x D -> B x C x h x w, unit norm."""
        return F.normalize(self.embed(patches).float(), dim=-1).permute(0, 3, 1, 2)
