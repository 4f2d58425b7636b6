"""Pictures that were prepared for one tower, as another one takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .normalisation import published

# Mean and deviation of a tower's pixels, 3 each; None for those of the model.
Preprocessing = tuple[Tensor, Tensor] | None


def relative_pixels(
    name: str,
    pretrained: str,
    pixels: tuple[Sequence[float], Sequence[float]],
    order: int,
    given: Mapping[str, Sequence[float]] | None = None,
) -> tuple[Tensor, Tensor]:
    """A tower's mean and deviation in units of pixels that are normalised with others.

    Args:
        name, pretrained: of the tower, as MODEL.CLIP has them.
        pixels: mean and deviation of the others, 3 each, 0..255.
        order: 1 where these are RGB, -1 where they are BGR.
        given: "mean" and "std", 0..255, in that order, where they are not the published ones.

    Returns:
        3 each.
    """
    known = published(name, pretrained)
    own = {
        key: [255 * value for value in known[key]][::order]
        for key in ("mean", "std")
        if key in known
    }
    own |= {key: list(values) for key, values in (given or {}).items()}
    mean, deviation = (torch.tensor(value) for value in pixels)
    own_mean = torch.tensor(own.get("mean", pixels[0]))
    return (own_mean - mean) / deviation, torch.tensor(own.get("std", pixels[1])) / deviation


def prepared(images: Tensor, patch: int, own: Preprocessing) -> Tensor:
    """Pictures as a tower takes them: its own pixels, and sides that its patch divides.

    Args:
        images: B x 3 x H x W, normalised for another tower.
        patch: of this one, in pixels.
        own: what `relative_pixels` says; None for pixels as they are.

    Returns:
        B x 3 x H' x W', the nearest multiples of the patch, one patch at least.
    """
    if own is not None:
        mean, deviation = (value.to(images.device)[:, None, None] for value in own)
        images = (images - mean) / deviation
    # Without `round`, which a recording of the model could not hold.
    size = [max(1, (side + patch // 2) // patch) * patch for side in images.shape[2:]]
    if size != list(images.shape[2:]):
        images = F.interpolate(images, size, mode="bilinear")
    return images
