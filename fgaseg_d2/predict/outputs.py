"""What a model gives for a picture -> what a segmentation holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..modeling.inference.label_maps import best_classes, resize_scores

_MAX_SCORES = 2**28  # scores of one picture, K x H x W: 1 GiB of float32


def _score_size(height: int, width: int, channels: int) -> tuple[int, int]:
    """The picture's size, or one of the same shape at which the scores fit the memory."""
    ratio = min(1.0, (_MAX_SCORES / (channels * height * width)) ** 0.5)
    return max(1, int(height * ratio)), max(1, int(width * ratio))


def labels_and_scores(output: Mapping[str, torch.Tensor], size: tuple[int, int]) -> dict[str, Any]:
    """Best class of every pixel, H x W int32, and scores, smaller where they would not fit."""
    canvas = output["sem_seg"]
    probabilities = output.get("probabilities", canvas)
    score_size = _score_size(*size, len(canvas))
    scores = resize_scores([probabilities], score_size)
    same = probabilities is canvas and score_size == size
    labels = scores.argmax(0) if same else best_classes([canvas], size)
    return {"labels": labels.to(torch.int32).cpu().numpy(), "scores": scores}
