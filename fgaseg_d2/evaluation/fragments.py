"""Into how many pieces a label map falls: connected components of every class of a picture."""

import cv2
import numpy as np


def fragment_counts(prediction: np.ndarray, truth: np.ndarray, ignore_label: int) -> np.ndarray:
    """Count the connected components of all classes, of the prediction and of the truth.

    Pixels that the truth ignores belong to no component in either map. Pixels that touch at a
    corner are connected.

    Args:
        prediction, truth: H x W, classes; the truth also the ignore label.
        ignore_label: value of true pixels that do not count.

    Returns:
        Two int64: components of the prediction, and of the truth.
    """
    counted = truth != ignore_label
    return np.array([_components(labels, counted) for labels in (prediction, truth)], np.int64)


def _components(labels: np.ndarray, counted: np.ndarray) -> int:
    total = 0
    for value in np.unique(labels[counted]):
        mask = ((labels == value) & counted).astype(np.uint8)
        # The background is one of those that it counts.
        total += cv2.connectedComponents(mask, connectivity=8)[0] - 1
    return total
