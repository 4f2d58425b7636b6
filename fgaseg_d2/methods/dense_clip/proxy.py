"""ProxyCLIP's attention: another tower says which places are alike, CLIP what is there.

Letters: B images, W width of CLIP's tower, D channels of the proxy, h w CLIP's grid, h' w' the
proxy's.

Source: Lan et al., "ProxyCLIP: Proxy Attention Improves CLIP for Open-Vocabulary Segmentation",
2024, arXiv 2408.04883.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.towers import ImageTower, load_image_tower, tower_class
from ...modeling.towers.base import DENSE
from ...modeling.towers.second_tower import Preprocessing, prepared, relative_pixels
from ...modeling.towers.vit import ViTTower

# The paper's beta and gamma.
_SHIFT, _SCALE = 1.2, 3.0


class ProxyAttention(nn.Module):
    """Pictures -> how much every place takes of every other one.

    Args:
        tower: whose dense map is compared; it is frozen.
        preprocessing: mean and deviation of its pixels, 3 each, in units of the model's own
            normalised pixels; None where they are the same.
    """

    def __init__(self, tower: ImageTower, preprocessing: Preprocessing = None) -> None:
        super().__init__()
        self.tower, self.preprocessing = tower, preprocessing
        tower.train_only("frozen")

    @classmethod
    def of_name(
        cls,
        name: str,
        pretrained: str,
        *,
        loaded: str,
        pixels: tuple[Sequence[float], Sequence[float]],
        order: int,
    ) -> ProxyAttention:
        """With a tower by name.

        Args:
            name, pretrained: as MODEL.CLIP.NAME and MODEL.CLIP.PRETRAINED.
            loaded: `pretrained`, or "" where a checkpoint brings the weights.
            pixels: mean and deviation of the model's pixels, 0..255.
            order: 1 where they are RGB, -1 where they are BGR.

        Raises:
            ValueError, FileNotFoundError: there is no such tower, or its weights cannot be had.
        """
        visual = load_image_tower(name, loaded)
        kind = tower_class(visual)
        tower = kind(visual, dense_reading="clip") if issubclass(kind, ViTTower) else kind(visual)
        return cls(tower, relative_pixels(name, pretrained, pixels, order))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Pictures B x 3 x H x W, normalised for the model -> weights B x h' w' x h' x w'."""
        images = prepared(images, self.tower.size_divisibility, self.preprocessing)
        return proxy_weights(self.tower(images, outputs=(DENSE,))[DENSE])


def proxy_weights(features: Tensor) -> Tensor:
    """How much every place takes of every other one: softmax of gamma (S - beta mean(S)).

    S are the cosines of a picture's places. What is less than beta times their mean has no weight.
    A place that has nothing left, since all places are nearly the same (their mean is above
    1 / beta, as in a picture of one color), takes of all of them.

    Args:
        features: B x D x h' x w'.

    Returns:
        B x h' w' x h' x w', float32; the weights of one place add up to 1.
    """
    with torch.autocast(features.device.type, enabled=False):
        tokens = F.normalize(features.float().flatten(2), dim=1)
        cosines = tokens.transpose(1, 2) @ tokens
        scores = _SCALE * (cosines - _SHIFT * cosines.mean((1, 2), keepdim=True))
        left_out = scores < 0
        left_out = left_out & ~left_out.all(-1, keepdim=True)
        weights = scores.masked_fill(left_out, -torch.inf).softmax(-1)
    return weights.unflatten(2, features.shape[2:])


def averaged(values: Tensor, weights: Tensor) -> Tensor:
    """CLIP's values, B x W x h x w, resampled to the proxy's grid and averaged: B x W x h' x w'.

    Args:
        values: what a place gives when it attends to itself alone.
        weights: of `proxy_weights`.
    """
    grid = weights.shape[2:]
    if values.shape[2:] != grid:
        values = F.interpolate(values, grid, mode="bilinear")
    mean = values.flatten(2) @ weights.flatten(2).to(values.dtype).transpose(1, 2)
    return mean.unflatten(2, grid)
