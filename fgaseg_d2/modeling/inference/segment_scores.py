"""Scores of segments -> scores of pixels, and back.

Letters: M segments, K classes or text entries, H W the masks' size, h w that of score maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.area_pooling import area_shares, mask_means

_CELLS = 2**24  # pixels of masks at a time


@dataclass(frozen=True)
class SegmentScores:
    """What is said of a picture by its segments.

    Attributes:
        masks: M x H x W, bool, none of them empty.
        scores: M x K.
    """

    masks: Tensor
    scores: Tensor

    @property
    def covered(self) -> float:
        """Share of the pixels that a segment covers, 0..1."""
        return self.masks.any(0).float().mean().item() if len(self.masks) else 0.0

    def painted(self, background: Tensor) -> Tensor:
        """Give each pixel the mean of the segments over it.

        Args:
            background: K x h x w, scores for pixels without a segment; resized, bilinear.

        Returns:
            K x H x W; the background as it is where there is no segment at all.
        """
        if not len(self.masks):
            return background
        size = (self.masks.shape[1], self.masks.shape[2])
        result = F.interpolate(background[None], size, mode="bilinear")[0].flatten(1)
        masks = self.masks.flatten(1)
        some = max(1, _CELLS // len(masks))
        for start in range(0, masks.shape[1], some):
            part = masks[:, start : start + some].to(self.scores.dtype)
            count = part.sum(0)
            mean = self.scores.T @ part / count.clamp(min=1)
            window = result[:, start : start + some]
            result[:, start : start + some] = torch.where(count > 0, mean, window)
        return result.unflatten(1, size)


def segment_output(segments: SegmentScores | None) -> dict[str, Any]:
    """What an input gets that asks for "segments".

    Returns:
        "segments", M x H x W bool, "segment_scores", M x K in 0..1, and "covered", the share of the
        pixels that they cover.

    Raises:
        ValueError: the model has no segments.
    """
    if segments is None:
        raise ValueError(
            "expected a model that finds segments, got one without; set TEST.SEGMENT_VOTE True"
        )
    return {
        "segments": segments.masks,
        "segment_scores": segments.scores,
        "covered": segments.covered,
    }


def without_empty(masks: Tensor) -> Tensor:
    """The masks M x H x W that have a pixel."""
    return masks[masks.flatten(1).any(1)]


def voted(masks: Tensor, scores: Tensor) -> SegmentScores:
    """Let the places of each segment agree: it has the mean of their scores.

    Args:
        masks: M x H x W, bool; they may have any size.
        scores: K x h x w, of the same picture.

    Returns:
        Of the segments that are not empty.
    """
    masks = without_empty(masks.to(scores.device))
    shares = area_shares(masks, (scores.shape[1], scores.shape[2]))
    return SegmentScores(masks, mask_means(shares, scores).to(scores.dtype))
