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

# Of a difference, in local standard deviations, at which a neighbor's weight falls by 1 / e.
_TOLERANCE = 0.1
# Where a picture is constant, all differences are 0 and all neighbors weigh the same.
_TINY = 1e-8
_CHUNK = 2**20  # scores refined at a time, which then stay in a processor's cache


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
            K x H x W; the scores themselves for 0 iterations.
        """
        if not self.iterations:
            return scores
        size = (image.shape[1], image.shape[2])
        weights = self.weights(image.float()).to(scores.dtype)
        step = max(1, _CHUNK // (size[0] * size[1]))
        parts = []
        for part in scores.split(step):
            part = F.interpolate(part[None], size, mode="bilinear")[0]
            for _ in range(self.iterations):
                part = self._averaged(part, weights)
            parts.append(part)
        return torch.cat(parts)

    def weights(self, image: Tensor) -> Tensor:
        """What each neighbor weighs: picture 3 x H x W -> P x H x W, which add up to 1 over P."""
        mean = torch.zeros_like(image)
        count = 9 * len(self.dilations)
        for near in self._squares(image):
            mean += near / count
        variance = torch.zeros_like(image)
        for near in self._squares(image):
            variance += (near - mean).square() / (count - 1)
        tolerance = _TINY + _TOLERANCE * variance.sqrt()
        unlike = [((near - image).abs() / tolerance).mean(0) for near in self._neighbors(image)]
        return torch.stack(unlike).neg_().softmax(0)

    def _averaged(self, maps: Tensor, weights: Tensor) -> Tensor:
        """One iteration: K x H x W -> K x H x W."""
        total = torch.zeros_like(maps)
        for weight, near in zip(weights, self._neighbors(maps), strict=True):
            total.addcmul_(weight, near)
        return total

    def _neighbors(self, maps: Tensor) -> Iterator[Tensor]:
        """Maps C x H x W -> the same moved by each of the P neighbors, as views of a padded one."""
        for index, moved in enumerate(self._squares(maps)):
            if index % 9 != 4:
                yield moved

    def _squares(self, maps: Tensor) -> Iterator[Tensor]:
        """As `_neighbors`, with the pixel itself in the middle of the 9 of each dilation."""
        margin = max(self.dilations)
        padded = F.pad(maps[None], (margin,) * 4, mode="replicate")[0]
        height, width = maps.shape[1:]
        for dilation in self.dilations:
            for down in (-dilation, 0, dilation):
                for right in (-dilation, 0, dilation):
                    top, left = margin + down, margin + right
                    yield padded[:, top : top + height, left : left + width]
