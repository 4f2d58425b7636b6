"""Masks as COCO's run-length encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..wording import shown

_LONGEST = 60  # bits of a run; damaged text could go on for ever


def encoded_mask(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run lengths, column by column, as JSON can hold them.

    Args:
        mask: H x W, bool.

    Returns:
        "size" (height, width) and "counts" as text, which ``pycocotools.mask`` reads.
    """
    from pycocotools import mask as mask_utils

    encoded = mask_utils.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}


def decoded_mask(
    rle: Any, size: tuple[int, int], where: str, advice: str = "correct the segment"
) -> np.ndarray:
    """The mask of an encoding.

    Args:
        rle: ``{"size": [height, width], "counts": ...}``, the counts compressed (text or bytes) or
            not (a list).
        size: height and width of the picture.
        where: what messages call the mask.
        advice: what they tell to do.

    Returns:
        H x W uint8, 0 or 1.

    Raises:
        ValueError: no such encoding, or of another size.
    """
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        raise ValueError(
            f'{where}: expected run lengths as a dict with "size" and "counts", got {shown(rle)}; '
            f"{advice}"
        )
    if not isinstance(rle["size"], (list, tuple)) or tuple(rle["size"]) != size:
        raise ValueError(
            f"{where}: expected a mask of the picture's {size[0]} x {size[1]} pixels (height x "
            f"width), got {shown(rle['size'])}; {advice}"
        )
    runs = rle["counts"]
    if isinstance(runs, (str, bytes)):
        runs = _decompressed(runs.encode() if isinstance(runs, str) else runs)
    if not isinstance(runs, (list, tuple)) or not all(map(_is_length, runs)):
        raise ValueError(
            f'{where}: expected "counts" as runs of 0 or more pixels, got {shown(rle["counts"])}; '
            f"{advice}"
        )
    pixels = size[0] * size[1]
    if sum(runs) != pixels:
        raise ValueError(
            f"{where}: expected runs of {pixels} pixels together, got {sum(runs)}; {advice}"
        )
    # Runs of 0 and of 1 take turns, down the columns.
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.ascontiguousarray(np.repeat(values, runs).reshape(size[::-1]).T)


def mask_box(mask: np.ndarray) -> list[int]:
    """Left, top, width and height of a mask in pixels, H x W; zeros for an empty one."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if not len(rows):
        return [0, 0, 0, 0]
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]


def _is_length(run: Any) -> bool:
    return isinstance(run, (int, np.integer)) and int(run) >= 0


def _decompressed(text: bytes) -> list[int] | None:
    """Runs of COCO's compressed form; None for what is none.

    pycocotools reads it as well, but gives whatever lay in memory where a text is too short.
    Each number has 5 bits a character, the lowest first, and a sign; from the fourth on it is the
    difference to the run two before.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        digit = character - 48
        if not 0 <= digit < 64:
            return None
        number |= (digit & 31) << shift
        shift += 5
        if shift > _LONGEST:
            return None
        if digit & 32:
            continue
        if digit & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    return None if shift else runs
