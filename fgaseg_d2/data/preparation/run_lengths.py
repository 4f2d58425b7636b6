"""Decodes COCO's run-length masks, after making sure that they fill the picture exactly."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask


def decode(segmentation: object, size: tuple[int, int]) -> np.ndarray:
    """Decode a mask.

    Args:
        segmentation: {"size": [H, W], "counts": ...}, counts as COCO's text or as numbers.
        size: expected height and width.

    Returns:
        H x W bool.

    Raises:
        ValueError: of another kind or size, or with runs for another number of pixels, for which
            pycocotools would return uninitialised memory.
    """
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("expected run lengths with 'size' and 'counts', got something else")
    if segmentation["size"] != list(size):
        raise ValueError(f"expected run lengths of size {list(size)}, got {segmentation['size']}")
    height, width = size
    counts = segmentation["counts"]
    runs = _runs(counts)
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(
            f"expected runs of {height * width} pixels, got {sum(runs)}; the code is damaged"
        )
    code = {"size": [height, width], "counts": counts}
    if not isinstance(counts, str):
        code = coco_mask.frPyObjects(code, height, width)
    return coco_mask.decode(code).astype(bool)


def _runs(counts: object) -> list[int]:
    """The lengths of the runs.

    In COCO's text a character holds 5 bits, lowest first; bit 5 says that more follow, and bit 4 of
    the last one is the sign. From the fourth number on, the one two places before is subtracted.
    """
    if isinstance(counts, list):
        if not all(type(run) is int for run in counts):
            raise ValueError("expected whole numbers as run lengths, got others")
        return counts
    if not isinstance(counts, str):
        raise ValueError(f"expected run lengths as text or numbers, got {type(counts).__name__}")
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"expected run lengths, got the character {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("expected run lengths, got a text that breaks off")
    return runs
