"""PAMR: pixel-adaptive mask refinement, which lets scores follow the edges of a picture.

Source: Araslanov and Roth, arXiv 2005.00335, section 3.3. Letters: K classes, H W the picture's
size, h w that of score maps, P neighbors of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .geometry import Size

# Of a difference, in local standard deviations, at which a neighbor's weight falls by 1 / e.
_TOLERANCE = 0.1
# Where a picture is constant, all differences are 0 and all neighbors weigh the same.
_TINY = 1e-8
_CLASSES = 64  # refined at a time


@dataclass(frozen=True)
class PixelAdaptiveRefinement:
    """Replaces the scores of each pixel by those of its neighbors of a like color, again and again.

    The neighbors are the 8 around a pixel in a 3 x 3 square, once for each dilation; beyond the
    edge stands the pixel at the edge. A neighbor j of i weighs softmax over j of the mean over the
    channels of -|x_i - x_j| / (0.1 s_i), where s_i is the standard deviation of the channel over
    the squares of all dilations, i included. The weights of a pixel add up to 1, so that scores
    which are the same everywhere stay as they are.

    Args:
        iterations: how often; 0 changes nothing.
        dilations: distances of the neighbors, in pixels of the picture.

    Raises:
        ValueError: fewer than 0 iterations, no dilation, or one below 1.
    """

    iterations: int
    dilations: Sequence[int]

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ValueError(f"expected `iterations` of 0 or more, got {self.iterations}.")
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(
                f"expected `dilations` of 1 or more, one at least, got {list(self.dilations)}."
            )

    def __call__(self, scores: Tensor, image: Tensor) -> Tensor:
        """Refine the scores of one picture.

        Args:
            scores: K x h x w; enlarged to the picture, bilinear.
            image: 3 x H x W, in any range.

        Returns:
            K x H x W, float32; the scores themselves for 0 iterations.
        """
        if not self.iterations:
            return scores
        size = (image.shape[1], image.shape[2])
        places = self._places(size, image.device)
        weights = self.weights(image.float()).flatten(1).T.contiguous()
        parts = []
        for part in scores.float().split(_CLASSES):
            table = F.interpolate(part[None], size, mode="bilinear")[0].flatten(1).T
            for _ in range(self.iterations):
                table = F.embedding_bag(
                    places, table.contiguous(), per_sample_weights=weights, mode="sum"
                )
            parts.append(table.T.unflatten(1, size))
        return torch.cat(parts)

    def weights(self, image: Tensor) -> Tensor:
        """What each neighbor weighs: picture 3 x H x W -> P x H x W, which add up to 1 over P."""
        # Twice over the squares, and none of them kept: there may be dozens.
        none = torch.zeros_like(image)
        mean = sum(self._moved(image), none) / (9 * len(self.dilations))
        squares = sum(((near - mean).square() for near in self._moved(image)), none)
        deviation = (squares / (9 * len(self.dilations) - 1)).sqrt()
        tolerance = _TINY + _TOLERANCE * deviation
        unlike = [
            ((near - image).abs() / tolerance).mean(0)
            for (down, right), near in zip(self._steps(), self._moved(image), strict=True)
            if down or right
        ]
        return torch.stack(unlike).neg_().softmax(0)

    def _steps(self) -> list[tuple[int, int]]:
        """Down and right from a pixel to the places of its squares, itself included."""
        return [
            (down, right)
            for dilation in self.dilations
            for down in (-dilation, 0, dilation)
            for right in (-dilation, 0, dilation)
        ]

    def _moved(self, image: Tensor) -> Iterator[Tensor]:
        """The picture moved by each of the steps; what stands beyond an edge is that edge's."""
        margin = max(self.dilations)
        padded = F.pad(image[None], (margin,) * 4, mode="replicate")[0]
        height, width = image.shape[1:]
        for down, right in self._steps():
            top, left = margin + down, margin + right
            yield padded[:, top : top + height, left : left + width]

    def _places(self, size: Size, device: torch.device) -> Tensor:
        """Of each pixel the numbers of its neighbors, H W x P, row by row."""
        steps = torch.tensor([step for step in self._steps() if any(step)], device=device)
        rows, columns = (
            (torch.arange(side, device=device)[:, None] + moves).clamp(0, side - 1)
            for side, moves in zip(size, steps.T, strict=True)
        )
        places = rows[:, None] * size[1] + columns
        return places.flatten(0, 1).to(torch.int32)
