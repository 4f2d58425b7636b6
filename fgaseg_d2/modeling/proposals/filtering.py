"""Which of many overlapping masks stay."""

from __future__ import annotations

import numpy as np


def filtered(
    masks: np.ndarray, scores: np.ndarray, smallest: int, same: float
) -> tuple[np.ndarray, np.ndarray]:
    """Drop small masks, and of masks that are nearly the same all but the best.

    Args:
        masks: M x H x W, bool.
        scores: M, the better the higher.
        smallest: pixels of a mask, at least.
        same: of two masks whose intersection over union is above this, the one with the higher
            score stays.

    Returns:
        The masks left, N x H x W, and their scores, the best first.
    """
    flat = masks.reshape(len(masks), masks.shape[1] * masks.shape[2])
    areas = flat.sum(1)
    order = [index for index in np.argsort(-scores, kind="stable") if areas[index] >= smallest]
    kept: list[int] = []
    for index in order:
        others = flat[kept]
        both = (others & flat[index]).sum(1)
        union = areas[kept] + areas[index] - both
        if not (both > same * union).any():
            kept.append(int(index))
    return masks[kept], scores[kept]
