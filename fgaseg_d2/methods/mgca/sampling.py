"""What of a picture's mask is compared with texts: hard and random pixels, and regions.

Letters: B pictures, N pixels of a picture's embeddings, C channels, K regions, n samples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sample_pixels(
    cosines: Tensor, masks: Tensor, count: int, seeds: list[int]
) -> tuple[Tensor, Tensor]:
    """Choose pixels of each mask: half of them the least similar to the text, half at random.

    Args:
        cosines: B x N, with the picture's own text.
        masks: B x N, bool.
        count: n; where a mask is smaller, all of its pixels.
        seeds: of each picture's random half.

    Returns:
        Numbers of pixels, B x n, and which of them count, B x n.
    """
    chosen = torch.zeros(len(masks), count, dtype=torch.long)
    counted = torch.zeros(len(masks), count, dtype=torch.bool)
    hard = count // 2
    # Where the pixels are does not matter to a CPU's generator, so that all devices choose alike.
    for index, (similarity, mask) in enumerate(zip(cosines.cpu(), masks.cpu(), strict=True)):
        inside = mask.nonzero().squeeze(1)
        order = inside[similarity[inside].argsort(stable=True)]
        if len(order) > count:
            generator = torch.Generator().manual_seed(seeds[index])
            drawn = torch.randperm(len(order) - hard, generator=generator)[: count - hard]
            order = torch.cat((order[:hard], order[hard:][drawn]))
        chosen[index, : len(order)] = order
        counted[index, : len(order)] = True
    return chosen.to(masks.device), counted.to(masks.device)


@torch.no_grad()
def find_regions(
    pixels: Tensor, cosines: Tensor, masks: Tensor, count: int, iterations: int = 5
) -> Tensor:
    """Cosine k-means over the pixels of each mask.

    The first centre is the pixel nearest to the text, each next one the pixel that is least like
    its nearest centre.

    Args:
        pixels: B x N x C, unit norm.
        cosines: B x N, with the picture's own text.
        masks: B x N, bool.
        count: K; in a mask of fewer pixels as many as these.
        iterations: of assigning pixels and moving centres; a centre without pixels stays.

    Returns:
        Which region a pixel belongs to, B x K x N bool: those of the last assignment.
    """
    rows = torch.arange(len(pixels), device=pixels.device)
    first = cosines.masked_fill(~masks, -torch.inf).argmax(1)
    centres = pixels[rows, first][:, None]
    for _ in range(count - 1):
        nearest = (pixels @ centres.transpose(1, 2)).amax(2)
        farthest = nearest.masked_fill(~masks, torch.inf).argmin(1)
        centres = torch.cat((centres, pixels[rows, farthest][:, None]), dim=1)
    # Beyond the number of pixels a centre would repeat another.
    numbers = torch.arange(count, device=pixels.device)
    exists = numbers < masks.sum(1, keepdim=True).clamp(min=1)
    for _ in range(iterations):
        likeness = (pixels @ centres.transpose(1, 2)).masked_fill(~exists[:, None], -torch.inf)
        regions = (likeness.argmax(2)[:, None] == numbers[:, None]) & masks[:, None]
        moved = F.normalize(regions.to(pixels.dtype) @ pixels, dim=-1)
        centres = torch.where(regions.any(2, keepdim=True), moved, centres)
    return regions


def region_embeddings(pixels: Tensor, regions: Tensor) -> Tensor:
    """Unit-length means: B x N x C and B x K x N bool -> B x K x C; 0 for an empty region."""
    return F.normalize(regions.to(pixels.dtype) @ pixels, dim=-1)
