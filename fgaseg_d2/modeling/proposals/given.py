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
        found = _numbers(masks)
        if found.ndim == 4 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim == 2 and found.dtype in (torch.bool, np.bool_):
            found = found[None]
        # An empty list that somebody made an array of.
        if found.ndim == 1 and not len(found):
            return torch.zeros(0, 1, 1, dtype=torch.bool)
        if found.ndim != 3:
            raise _unknown(f"an array of shape {list(found.shape)}")
        return _of_one_array(found)
    if _is_single(masks):
        masks = [masks]
    if isinstance(masks, (str, bytes)) or not isinstance(masks, (Sequence, Iterator)):
        plain = isinstance(masks, (str, bytes, Mapping, int, float))
        raise _unknown(shown(masks) if plain else type(masks).__name__)
    if isinstance(masks, Iterator):
        masks = [_single(mask, number) for number, mask in enumerate(masks)]
    return _of_one_size(masks)


def _of_one_array(masks: Tensor | np.ndarray) -> Tensor:
    """M x H x W -> bool, one mask at a time; the value beside 0 is the same in all."""
    if masks.dtype in (torch.bool, np.bool_):
        return _tensor(masks)
    result = torch.empty(tuple(masks.shape), dtype=torch.bool)
    values: list[float] = []
    for number, mask in enumerate(masks):
        result[number], found = _two_valued(_tensor(mask))
        values += found
        _check_values(min(values, default=0), max(values, default=0))
        values = values[:1]
    return result


def _of_one_size(masks: Sequence[Any]) -> Tensor:
    """Masks of a list, each in a form of its own, one at a time."""
    result = torch.zeros(0, 1, 1, dtype=torch.bool)
    for number, mask in enumerate(masks):
        found = _single(mask, number)
        if not number:
            result = torch.empty(len(masks), *found.shape, dtype=torch.bool)
        if found.shape != result.shape[1:]:
            (height, width), (other, across) = result.shape[1:], found.shape
            raise _unknown(f"masks of {height} x {width} and {other} x {across}", "of one size")
        result[number] = found
    return result


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
                    f'{where}: expected "{key}" as an array or run lengths, got a list, as '
                    "polygons are; make a mask of them (pycocotools: COCO.annToMask)"
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
    array = _numbers(mask)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise _unknown(f"mask {number} of shape {list(array.shape)}")
    found, values = _two_valued(_tensor(array))
    _check_values(min(values, default=0), max(values, default=0))
    return found


def _numbers(masks: Any) -> Tensor | np.ndarray:
    """Whatever holds numbers as an array or a tensor, in the type and place that it has."""
    if isinstance(masks, Tensor):
        return masks
    try:
        array = np.asarray(masks)
    except (TypeError, ValueError):
        raise _unknown(shown(masks)) from None
    if array.dtype.kind not in "biuf":
        raise _unknown(shown(masks))
    return array


def _tensor(array: Tensor | np.ndarray) -> Tensor:
    """An array of numbers as a tensor on the CPU."""
    if isinstance(array, Tensor):
        return array.detach().cpu()
    # torch knows neither other byte orders nor all of NumPy's types.
    if array.dtype.kind != "b":
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _two_valued(mask: Tensor) -> tuple[Tensor, list[float]]:
    """Where a mask H x W is not 0, and the least and the greatest of what it has beside 0."""
    if mask.dtype == torch.bool:
        return mask, []
    if mask.is_complex():
        raise _unknown("complex numbers")
    if mask.is_floating_point() and not mask.isfinite().all():
        raise ValueError("expected masks of finite values, got others (nan or inf); correct them")
    where = mask != 0
    inside = mask[where]
    return where, [inside.min().item(), inside.max().item()] if inside.numel() else []


def _check_values(low: float, high: float) -> None:
    """What has shades is no mask yet."""
    if low != high:
        raise ValueError(
            f"expected masks of one value beside 0, got values from {low:g} to {high:g}; compare "
            "them with a threshold (masks > 0.5), or make a mask of each value (labels == 3)"
        )


def _unknown(found: str, wanted: str = "") -> ValueError:
    of = f" {wanted}" if wanted else ""
    return ValueError(f"expected masks M x H x W{of}, got {found}; {_FORMS}")
