"""From counted pixels to figures in percent; nothing else.

Letters: K classes. Of a class, TP are the pixels predicted right, G its true pixels, P its
predicted pixels; IoU = TP / (G + P - TP), ACC = TP / G.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassScores:
    """The figures of every class, each K values in 0..1; NaN where a class does not occur.

    Attributes:
        iou: by the present rule NaN where a class is absent from the truth, although predicted.
        accuracy: share of the true pixels that were predicted right.
        true_pixels: G.
        predicted_pixels: P, on pixels that the truth does not ignore.
    """

    iou: np.ndarray
    accuracy: np.ndarray
    true_pixels: np.ndarray
    predicted_pixels: np.ndarray

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> ClassScores:
        """Take a confusion matrix, K x K, row = predicted, column = true class."""
        hits = matrix.diagonal().astype(float)
        true, predicted = matrix.sum(0).astype(float), matrix.sum(1).astype(float)
        iou = _ratio(hits, true + predicted - hits, true > 0)
        return cls(iou, _ratio(hits, true, true > 0), true, predicted)


def summary(matrix: np.ndarray) -> dict[str, float]:
    """The figures over all classes that Detectron2 gives, in percent.

    Args:
        matrix: K x K, row = predicted, column = true class.

    Returns:
        "mIoU", the mean over the classes that occur in the truth (Detectron2's rule since July
        2022), "fwIoU", weighted by their true pixels, "mACC" and "pACC". NaN without any true
        pixel.
    """
    scores = ClassScores.from_matrix(matrix)
    occurs = scores.true_pixels > 0
    if not occurs.any():
        return dict.fromkeys(("mIoU", "fwIoU", "mACC", "pACC"), float("nan"))
    weights = scores.true_pixels / scores.true_pixels.sum()
    # In the order of Detectron2's operations, so that the last digit agrees as well.
    return {
        "mIoU": 100 * float(scores.iou[occurs].sum() / occurs.sum()),
        "fwIoU": 100 * float((scores.iou[occurs] * weights[occurs]).sum()),
        "mACC": 100 * float(scores.accuracy[occurs].sum() / occurs.sum()),
        "pACC": 100 * float(matrix.diagonal().astype(float).sum() / scores.true_pixels.sum()),
    }


def old_rule_miou(matrix: np.ndarray) -> float:
    """MIoU in percent by Detectron2's rule before July 2022.

    A class that is predicted but absent from the truth counts as IoU 0.
    """
    scores = ClassScores.from_matrix(matrix)
    occurs = scores.true_pixels + scores.predicted_pixels > 0
    if not occurs.any():
        return float("nan")
    return 100 * float(np.nansum(scores.iou) / occurs.sum())


def split_mious(matrix: np.ndarray, unseen: Sequence[int]) -> dict[str, float]:
    """MIoU over seen and over unseen classes, and their harmonic mean, in percent.

    Args:
        matrix: K x K, row = predicted, column = true class.
        unseen: indices of the classes that training did not show.

    Returns:
        "seen_mIoU", "unseen_mIoU" and "harmonic_mIoU", each NaN where no class of its kind occurs.
    """
    iou = ClassScores.from_matrix(matrix).iou
    chosen = np.zeros(len(iou), bool)
    chosen[list(unseen)] = True
    seen_mean, unseen_mean = _mean(iou[~chosen]), _mean(iou[chosen])
    total = seen_mean + unseen_mean
    harmonic = 2 * seen_mean * unseen_mean / total if total else total
    figures = {"seen_mIoU": seen_mean, "unseen_mIoU": unseen_mean, "harmonic_mIoU": harmonic}
    return {name: 100 * value for name, value in figures.items()}


def boundary_ious(counts: np.ndarray, true_pixels: np.ndarray) -> np.ndarray:
    """Boundary IoU of every class in 0..1, NaN where it is absent from the truth.

    Args:
        counts: 3 x K, see :func:`~fgaseg_d2.evaluation.confusion.boundary_counts`.
        true_pixels: K.
    """
    both, true, predicted = counts.astype(float)
    return _ratio(both, true + predicted - both, true_pixels > 0)


def _ratio(part: np.ndarray, whole: np.ndarray, where: np.ndarray) -> np.ndarray:
    result = np.full(len(part), np.nan)
    where = where & (whole > 0)
    result[where] = part[where] / whole[where]
    return result


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
