"""Arrays of pixels, of whatever kind callers have, as RGB; or what to do with them, in words."""

from __future__ import annotations

from typing import Any

import numpy as np

_CHANNELS = (1, 3, 4)


def rgb_array(array: np.ndarray) -> np.ndarray:
    """Make RGB of a picture.

    Args:
        array: H x W, H x W x 1, 3 (RGB) or 4 (RGBA, laid on white) of uint8 or uint16.

    Returns:
        H x W x 3, uint8; a copy, which may be drawn on and does not change with the original.

    Raises:
        ValueError: another shape or type, with what to do about it.
    """
    shape = array.shape
    advice = [*_advice_on_shape(shape), *_advice_on_values(array)]
    if advice:
        raise ValueError(
            "expected a picture H x W x 3 of uint8 (RGB), got an array of shape "
            f"{'x'.join(map(str, shape))} and type {array.dtype}; {' and '.join(advice)}"
        )
    if 0 in shape:
        raise ValueError(
            f"expected a picture with pixels, got an array of shape {'x'.join(map(str, shape))}; "
            "check how it was cut"
        )
    array = np.asarray(array)
    if array.dtype.itemsize == 2:
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    array = array.reshape(*shape[:2], -1)
    if array.shape[2] == 4:
        alpha = array[..., 3:].astype(np.float32) / 255
        array = np.rint(array[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.array(np.broadcast_to(array, (*shape[:2], 3)), order="C")


def is_tensor(picture: Any) -> bool:
    """Whether this is a tensor, by what it can do: this part knows no library of tensors."""
    return all(hasattr(picture, name) for name in ("detach", "cpu", "numpy"))


def array_of(tensor: Any) -> np.ndarray:
    """A picture's tensor, 1, 3 or 4 x H x W or with the channels last -> with the channels last."""
    array = tensor.detach().cpu().numpy()
    first = array.ndim == 3 and array.shape[0] in _CHANNELS
    return array.transpose(1, 2, 0) if first and array.shape[2] not in _CHANNELS[1:] else array


def narrowed(values: np.ndarray) -> np.ndarray:
    """Pillow opens some 16-bit pictures as 32-bit integers; wider ranges have no known scale."""
    if values.dtype.kind in "iu" and values.size and 0 <= values.min() <= values.max() <= 65535:
        return values.astype(np.uint16)
    raise ValueError(
        f"expected a picture with 8 or 16 bits a channel, got values of {values.dtype} in another "
        "range; convert it to 8 bits"
    )


def _advice_on_shape(shape: tuple[int, ...]) -> list[str]:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in _CHANNELS):
        return []
    if len(shape) == 3 and shape[0] in _CHANNELS:
        return ["move the channels to the end (array.transpose(1, 2, 0))"]
    if len(shape) == 4:
        return ["give the pictures of a batch one by one"]
    return ["give it 1, 3 or 4 channels"]


def _advice_on_values(array: np.ndarray) -> list[str]:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "u" and size <= 2:
        return []
    if kind == "b":
        return ["make 0 and 255 of the truth values (255 * array.astype(np.uint8))"]
    if kind not in "iuf":
        return ["make it one of numbers from 0 to 255 (uint8)"]
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if kind == "f" and not np.isfinite([low, high]).all():
        return ["replace the values that are no numbers, then scale to 0..255 (uint8)"]
    if kind == "f" and 0 <= low <= high <= 1:
        return ["scale it by (255 * array).round().astype(np.uint8)"]
    if 0 <= low <= high <= 255:
        return [f"convert it by array{'.round()' if kind == 'f' else ''}.astype(np.uint8)"]
    if kind != "f" and 0 <= low <= high <= 65535:
        return ["convert it by array.astype(np.uint16)"]
    return ["scale its values to 0..255 (uint8)"]
