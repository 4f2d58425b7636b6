"""MGCA's losses: texts and objects, regions, pixels; how large masks are, and how smooth.

Letters: B pairs of this process, A pairs of all processes, N = H W embeddings of a picture, C
channels, K regions, n positives of a picture, k hard negatives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.losses.contrastive import gathered, positions_of_own, sum_over_ranks, world_size
from .grounding import TextGrounding, compare_pairs
from .sampling import find_regions, region_embeddings, sample_pixels

_MASK = 0.5  # a pixel belongs to a mask above this
_LARGEST_SCALE = math.log(100)
_PAIRS_OF_A_STEP = 2**20  # seeds of one iteration, more than pairs in a batch


@dataclass(frozen=True)
class Sampling:
    """How many of what are compared.

    Attributes:
        regions: of a mask.
        hard_regions: positives of a picture, those least like its text.
        least_pixels: of a region that may be a positive.
        region_negatives: for each text.
        pixels: positives of a picture.
        pixel_negatives: for each text.
        pairs_at_once: pairs of a picture and a text whose masks are in memory together.
    """

    regions: int = 8
    hard_regions: int = 4
    least_pixels: int = 16
    region_negatives: int = 64
    pixels: int = 64
    pixel_negatives: int = 256
    pairs_at_once: int = 4096


@dataclass(frozen=True)
class _Batch:
    """What the levels share: B x N x C, B x C, A x C, B, B x N, B x N bool."""

    pixels: Tensor
    texts: Tensor
    every_text: Tensor
    own: Tensor
    cosines: Tensor
    masks: Tensor = field(repr=False)


class MGCACriterion(nn.Module):
    """Losses over the pairs of all processes.

    The mean over processes of each, and the gradient of that, are those of one process with all
    pairs.

    Args:
        weights: of "object", "region", "pixel", "area" and "smooth"; a level of weight 0 is not
            computed.
        area: the share of a picture that its own mask should have on average.
        sampling: how many of what are compared.
    """

    def __init__(
        self, *, weights: Mapping[str, float], area: float = 0.4, sampling: Sampling = Sampling()
    ) -> None:
        super().__init__()
        self.weights, self.area, self.sampling = dict(weights), area, sampling
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def scale(self) -> Tensor:
        """Of the cosines, within CLIP's own bound."""
        return self.log_scale.clamp(max=_LARGEST_SCALE).exp()

    def forward(
        self, maps: Tensor, texts: Tensor, grounding: TextGrounding, iteration: int
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            maps: B x C x H x W, unit norm over C, float32.
            texts: B x C, unit norm, of the pictures in their order.
            grounding: makes masks of cosines.
            iteration: of the training; with a pair's place among all it seeds the random pixels.

        Returns:
            "loss_object", "loss_region", "loss_pixel", "loss_area" and "loss_smooth", weighted.
        """
        sampling, pixels = self.sampling, maps.flatten(2).transpose(1, 2)
        cosines = torch.einsum("bnc,bc->bn", pixels, texts)
        soft = grounding(cosines).sigmoid()
        own, every_text = positions_of_own(texts), gathered(texts)
        batch = _Batch(
            pixels, texts, every_text=every_text, own=own, cosines=cosines, masks=soft > _MASK
        )
        pairs = compare_pairs(
            *(pixels, every_text, own, grounding),
            hard=sampling.pixel_negatives if self.weights["pixel"] else 0,
            pairs_at_once=sampling.pairs_at_once,
        )
        area = (gathered(soft.mean()[None]).mean() - self.area).abs() + pairs.negative_area
        smooth = total_variation(maps) + total_variation(soft.view(-1, 1, *maps.shape[2:]))
        losses = {"object": self._object_loss(pairs.objects, own), "area": area, "smooth": smooth}
        if self.weights["region"]:
            losses["region"] = self._region_loss(batch)
        if self.weights["pixel"]:
            losses["pixel"] = self._pixel_loss(batch, pairs.hardest, iteration)
        return {
            f"loss_{name}": self.weights[name] * loss
            for name, loss in losses.items()
            if self.weights[name]
        }

    def _object_loss(self, objects: Tensor, own: Tensor) -> Tensor:
        """Cosines of own pictures and all texts B x A -> the loss of both directions."""
        to_texts, to_pictures = self.scale * objects, self.scale * gathered(objects)[:, own].T
        return (F.cross_entropy(to_texts, own) + F.cross_entropy(to_pictures, own)) / 2

    def _region_loss(self, batch: _Batch) -> Tensor:
        sampling = self.sampling
        regions = find_regions(batch.pixels, batch.cosines, batch.masks, sampling.regions)
        embeddings, sizes = region_embeddings(batch.pixels, regions), regions.sum(2)
        likeness = torch.einsum("bkc,bc->bk", embeddings.detach(), batch.texts)
        unfit = likeness.masked_fill(sizes < sampling.least_pixels, torch.inf)
        hard = unfit.topk(min(sampling.hard_regions, unfit.shape[1]), largest=False)
        positives = taken(embeddings, hard.indices)
        cosines = torch.einsum("bkc,ac->abk", embeddings, batch.every_text)
        others = batch.own[None] != torch.arange(len(cosines), device=cosines.device)[:, None]
        candidates = others[..., None] & (sizes > 0)
        hardest = cosines.masked_fill(~candidates, -torch.inf).flatten(1)
        hardest = hardest.topk(min(sampling.region_negatives, hardest.shape[1])).values
        negatives = hardest_of_all(hardest, batch.own, sampling.region_negatives)
        return self._contrast(positives, hard.values.isfinite(), batch, negatives)

    def _pixel_loss(self, batch: _Batch, hardest: Tensor, iteration: int) -> Tensor:
        seeds = [iteration * _PAIRS_OF_A_STEP + pair for pair in batch.own.tolist()]
        cosines, masks = batch.cosines.detach(), batch.masks
        chosen, counted = sample_pixels(cosines, masks, self.sampling.pixels, seeds)
        negatives = hardest_of_all(hardest, batch.own, self.sampling.pixel_negatives)
        return self._contrast(taken(batch.pixels, chosen), counted, batch, negatives)

    def _contrast(
        self, positives: Tensor, counted: Tensor, batch: _Batch, negatives: Tensor
    ) -> Tensor:
        """The mean over all positives of both directions' losses.

        Args:
            positives: B x n x C, unit norm.
            counted: B x n, bool.
            batch: whose texts they belong to; the texts of all others are a positive's negatives.
            negatives: B x k, cosines of own texts with what other pictures show, -inf for none.
        """
        own = self.scale * torch.einsum("bnc,bc->bn", positives, batch.texts)
        none = negatives.isinf()
        # Masked behind the scale, whose gradient would be 0 times infinity.
        logits = (self.scale * negatives.masked_fill(none, 0)).masked_fill(none, -torch.inf)
        logits = logits[:, None].expand(-1, own.shape[1], -1)
        to_places = torch.cat((own[..., None], logits), dim=-1).logsumexp(-1) - own
        all_texts = self.scale * torch.einsum("bnc,ac->bna", positives, batch.every_text)
        to_texts = all_texts.logsumexp(-1) - own
        total = ((to_places + to_texts) / 2 * counted).sum()
        shared = sum_over_ranks(counted.sum()).clamp(min=1)
        # The mean over processes divides by their number once more.
        return total * world_size() / shared


def hardest_of_all(hardest: Tensor, own: Tensor, count: int) -> Tensor:
    """The hardest candidates of own texts among those of all processes.

    Args:
        hardest: A x k, cosines of each text with this process's best candidates, -inf for none.
        own: B, which of the texts are own.
        count: how many at most.

    Returns:
        B x at most `count`, with gradients to the process that each comes from.
    """
    every = gathered(hardest[None]).transpose(0, 1).flatten(1)[own]
    return every.topk(min(count, every.shape[1])).values


def taken(values: Tensor, numbers: Tensor) -> Tensor:
    """Some rows of each picture: B x N x C and B x n -> B x n x C."""
    return values.gather(1, numbers[..., None].expand(-1, -1, values.shape[2]))


def total_variation(maps: Tensor) -> Tensor:
    """Mean absolute difference of neighbours below each other plus that beside each other."""
    down, across = maps.diff(dim=2).abs(), maps.diff(dim=3).abs()
    return down.mean() + across.mean()
