"""Masks in the forms that people and other programs have them in -> one tensor of masks.

Letters: M masks, H W their size in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...io.coco_masks import decoded_mask
from ...wording import shown

# What objects of other libraries call the masks that they hold: detectron2's Instances and
# BitMasks, supervision's Detections.
_ATTRIBUTES = ("pred_masks", "gt_masks", "mask", "tensor")
# What a dict of a mask calls it: SAM's automatic masks, a file of segments.
_KEYS = ("segmentation", "rle")
_MOST_PIXELS = 2**28  # of a mask of run lengths
_FORMS = (
    "give an array M x H x W, a list of masks H x W or of COCO's run lengths, SAM's automatic "
    "masks, detectron2's Instances or supervision's Detections"
)


def given_masks(masks: Any) -> Tensor:
    """Masks of whatever form as one tensor.

    Args:
        masks: M x H x W or M x 1 x H x W, an array or a tensor of any type, each mask with one
            value beside 0; one mask H x W, if it is bool; a list of masks H x W, of COCO's run
            lengths (compressed or not), or of dicts with one of the two as "segmentation" (as SAM's
            automatic masks) or "rle"; detectron2's Instances or BitMasks, supervision's Detections.

    Returns:
        M x H x W, bool, on the CPU; 0 x 1 x 1 for an empty list.

    Raises:
        ValueError: something else, values that are not finite or more than two, or several sizes.
    """
    masks = _held(masks)
    if isinstance(masks, (Tensor, np.ndarray)):
        found = _tensor(masks)
        if found.ndim == 4 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim == 2 and found.dtype == torch.bool:
            found = found[None]
        # An empty list that somebody made an array of.
        if found.ndim == 1 and not len(found):
            return torch.zeros(0, 1, 1, dtype=torch.bool)
        if found.ndim != 3:
            raise _unknown(f"an array of shape {list(found.shape)}")
        return _two_valued(found)
    if _is_single(masks):
        masks = [masks]
    if isinstance(masks, (str, bytes)) or not isinstance(masks, (Sequence, Iterator)):
        plain = isinstance(masks, (str, bytes, Mapping, int, float))
        raise _unknown(shown(masks) if plain else type(masks).__name__)
    each = [_single(mask, number) for number, mask in enumerate(masks)]
    if not each:
        return torch.zeros(0, 1, 1, dtype=torch.bool)
    sizes = list(dict.fromkeys(tuple(mask.shape) for mask in each))
    if len(sizes) > 1:
        two = " and ".join(f"{height} x {width}" for height, width in sizes[:2])
        raise _unknown(f"masks of {two}", "of one size")
    return torch.stack(each)


def _held(masks: Any) -> Any:
    """What an object of another library holds, else the object itself."""
    if isinstance(masks, Mapping) and "instances" in masks:
        masks = masks["instances"]
    if isinstance(masks, (Tensor, np.ndarray, Mapping, list, tuple)):
        return masks
    for name in _ATTRIBUTES:
        # Instances raise where they lack a field, Detections have None.
        held = getattr(masks, name, None)
        if held is not None:
            return _held(held)
    return masks


def _is_single(mask: Any) -> bool:
    """Whether it is a dict of one mask."""
    return isinstance(mask, Mapping) and ("counts" in mask or any(key in mask for key in _KEYS))


def _single(mask: Any, number: int) -> Tensor:
    where = f"mask {number}"
    for key in _KEYS:
        if isinstance(mask, Mapping) and key in mask:
            mask = mask[key]
            if isinstance(mask, (list, tuple)):
                raise ValueError(
                    f'{where}: expected "{key}" as an array or run lengths, got a list, as polygons '
                    "are; make a mask of them (pycocotools: COCO.annToMask)"
                )
    if isinstance(mask, Mapping):
        size = mask.get("size")
        sides = tuple(size) if isinstance(size, (list, tuple)) else ()
        whole = len(sides) == 2 and all(isinstance(side, (int, np.integer)) for side in sides)
        if not whole or min(sides) < 1 or math.prod(map(int, sides)) > _MOST_PIXELS:
            raise ValueError(
                f'{where}: expected run lengths with "size", height and width, got {shown(size)}; '
                "correct the mask"
            )
        runs = decoded_mask(mask, (sides[0], sides[1]), where, "correct the mask")
        return torch.from_numpy(runs).bool()
    found = _tensor(mask)
    if found.ndim == 3 and found.shape[0] == 1:
        found = found[0]
    if found.ndim != 2:
        raise _unknown(f"mask {number} of shape {list(found.shape)}")
    return _two_valued(found)


def _tensor(masks: Any) -> Tensor:
    """An array of numbers as a tensor on the CPU."""
    if isinstance(masks, Tensor):
        return masks.detach().cpu()
    try:
        array = np.asarray(masks)
    except (TypeError, ValueError):
        raise _unknown(shown(masks)) from None
    if array.dtype.kind not in "biuf":
        raise _unknown(shown(masks))
    # torch knows neither other byte orders nor all of NumPy's types.
    if array.dtype.kind != "b":
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _two_valued(masks: Tensor) -> Tensor:
    """Where masks are not 0, if all else is one value; what has shades is no mask yet."""
    if masks.dtype == torch.bool:
        return masks
    if masks.is_complex():
        raise _unknown("complex numbers")
    if masks.is_floating_point() and not masks.isfinite().all():
        raise ValueError("expected masks of finite values, got others (nan or inf); correct them")
    inside = masks[masks != 0]
    if inside.numel() and inside.min() != inside.max():
        low, high = inside.min().item(), inside.max().item()
        raise ValueError(
            f"expected masks of one value beside 0, got values from {low:g} to {high:g}; compare "
            "them with a threshold (masks > 0.5), or make a mask of each value (labels == 3)"
        )
    return masks != 0


def _unknown(found: str, wanted: str = "") -> ValueError:
    of = f" {wanted}" if wanted else ""
    return ValueError(f"expected masks M x H x W{of}, got {found}; {_FORMS}")
