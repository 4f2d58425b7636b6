"""How probable the classes of pixels are, and where that leaves doubts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor


def confidence(scores: Tensor, labels: np.ndarray) -> np.ndarray:
    """Probability of each pixel's class.

    Args:
        scores: K x h x w, probabilities in [0, 1].
        labels: H x W, class indices in [0, K).

    Returns:
        H x W, float32.
    """
    index = torch.from_numpy(nearest(labels, scores.shape[1:])).to(scores.device, torch.int64)
    return nearest(scores.detach().gather(0, index[None])[0].float().cpu().numpy(), labels.shape)


def is_unsure(scores: Tensor, margin: float, size: Sequence[int]) -> np.ndarray:
    """Where the two best classes are closer to each other than ``margin``, in [0, 1].

    Args:
        scores: K x h x w, probabilities in [0, 1].
        margin: difference of two probabilities.
        size: height and width of the result.

    Returns:
        H x W, bool; nowhere true where there is a single class.

    Raises:
        ValueError: ``margin`` is beyond [0, 1].
    """
    _check_probability("margin", margin)
    if len(scores) < 2:
        return np.zeros(size, bool)
    best, second = scores.detach().float().topk(2, 0).values
    return nearest((best - second < margin).cpu().numpy(), size)


def is_none(scores: Tensor, threshold: float, size: Sequence[int]) -> np.ndarray:
    """Where no class reaches the probability ``threshold``, in [0, 1]; otherwise as above."""
    _check_probability("threshold", threshold)
    return nearest((scores.detach().amax(0) < threshold).cpu().numpy(), size)


def nearest(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Values H x W at another height and width, each the nearest one."""
    if values.shape == tuple(size):
        return values
    stored = values.astype(np.uint8) if values.dtype == bool else values
    found = cv2.resize(stored, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    return found.astype(values.dtype)


def _check_probability(argument: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(
            f"expected `{argument}`, a probability from 0 to 1, got {value}; choose one such as 0.1"
        )
