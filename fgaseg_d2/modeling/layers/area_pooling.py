"""Means over masks of any size, weighted by the exact area that a mask has in each cell of a grid.

Letters: M masks, H W their size in pixels, h w the grid, C channels.
"""

import torch
from torch import Tensor

_PIXELS = 2**26  # of masks that are numbers at a time; as such they take four times the room


def overlaps(cells: int, pixels: int, device: torch.device | None = None) -> Tensor:
    """How much of each cell each pixel covers, where both divide the same length evenly.

    Args:
        cells: of the grid along one axis.
        pixels: of the mask along the same axis.
        device: of the result.

    Returns:
        cells x pixels, float32 in 0..1; a row adds up to 1.
    """
    # In units of 1 / (cells * pixels), so that the borders are whole numbers.
    cell = torch.arange(cells, device=device)[:, None] * pixels
    pixel = torch.arange(pixels, device=device)[None] * cells
    shared = torch.minimum(cell + pixels, pixel + cells) - torch.maximum(cell, pixel)
    return shared.clamp(min=0).float() / pixels


def area_shares(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """The share of each cell's area that each mask covers.

    Masks need not have the size of anything else: they are laid over the grid as a whole.

    Args:
        masks: M x H x W, bool, or shares of pixels in 0..1.
        grid: h and w.

    Returns:
        M x h x w, float32 in 0..1.
    """
    rows = overlaps(grid[0], masks.shape[1], masks.device)
    columns = overlaps(grid[1], masks.shape[2], masks.device)
    some = max(1, _PIXELS // max(1, masks.shape[1] * masks.shape[2]))
    return torch.cat([rows @ part.float() @ columns.T for part in masks.split(some)])


def mask_means(shares: Tensor, maps: Tensor) -> Tensor:
    """The mean of a map over each mask, each cell weighted by its share.

    Args:
        shares: M x h x w of `area_shares`, no mask 0 everywhere.
        maps: C x h x w.

    Returns:
        M x C.
    """
    weights = shares.flatten(1)
    weights = weights / weights.sum(1, keepdim=True)
    return weights @ maps.flatten(1).T.to(weights.dtype)
