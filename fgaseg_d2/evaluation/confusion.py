"""Counting pixels: predicted against true classes, whole and along the boundaries.

Letters: K classes; label maps are H x W integers.
"""

import cv2
import numpy as np

# Values outside every class, for 16-bit label maps.
_IGNORED, _OUTSIDE = 65534, 65535


def confusion_matrix(
    prediction: np.ndarray, truth: np.ndarray, classes: int, ignore_label: int
) -> np.ndarray:
    """Count the pixels of every pair of predicted and true class.

    Args:
        prediction: H x W, each value in 0 ... classes - 1 where the truth is a class.
        truth: H x W, each value in 0 ... classes - 1 or the ignore label.
        classes: K.
        ignore_label: such true pixels count nowhere, not even as false positives.

    Returns:
        K x K int64, row = predicted, column = true class.

    Raises:
        ValueError: another value, or sizes that differ.
    """
    _check_size(prediction, truth)
    counted = truth != ignore_label
    rows = prediction[counted].astype(np.int64)
    columns = truth[counted].astype(np.int64)
    check_classes(rows, classes, "prediction")
    check_classes(columns, classes, "truth")
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes)


def check_classes(values: np.ndarray, classes: int, what: str) -> None:
    """Raise a ValueError unless all values are 0 ... classes - 1.

    Args:
        values: integers of any shape.
        classes: number of classes.
        what: begin of the message.
    """
    for value in (int(values.min()), int(values.max())) if values.size else ():
        if not 0 <= value < classes:
            raise ValueError(
                f"{what}: expected classes 0 .. {classes - 1}, got {value}; the words that were "
                "looked for must match the classes that are evaluated (or say from which on they "
                "are background, in the metadata fgaseg_d2={'background_class': ...})"
            )


def boundary_counts(
    prediction: np.ndarray, truth: np.ndarray, classes: int, ignore_label: int
) -> np.ndarray:
    """Count the pixels in the boundary bands of every class.

    The band of a class are its pixels within a distance of 2 % of the picture's diagonal from
    another class or from the picture's edge (Cheng et al., "Boundary IoU", CVPR 2021). Pixels that
    the truth ignores belong to no class in either map.

    Args:
        prediction, truth, classes, ignore_label: as in :func:`confusion_matrix`; K below 65534.

    Returns:
        3 x K int64: pixels in both bands, in the band of the truth, in the band of the prediction.
    """
    _check_size(prediction, truth)
    ignored = truth == ignore_label
    maps = [np.where(ignored, _IGNORED, labels).astype(np.uint16) for labels in (prediction, truth)]
    predicted, true = (np.where(_boundary(labels), labels, _IGNORED) for labels in maps)
    both = np.where(predicted == true, true, _IGNORED)
    counts = [
        np.bincount(band[band != _IGNORED].ravel(), minlength=classes)
        for band in (both, true, predicted)
    ]
    return np.stack(counts)


def _boundary(labels: np.ndarray) -> np.ndarray:
    """Where a pixel's neighbourhood holds more than one value, H x W bool.

    One pass for all classes: a square around a pixel is of one class if its minimum and maximum
    are equal.
    """
    height, width = labels.shape
    distance = max(1, round(0.02 * float(np.hypot(height, width))))
    padded = cv2.copyMakeBorder(labels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=_OUTSIDE)
    kernel = np.ones((3, 3), np.uint8)
    lowest = cv2.erode(padded, kernel, iterations=distance)
    highest = cv2.dilate(padded, kernel, iterations=distance)
    return (lowest != highest)[1:-1, 1:-1]


def _check_size(prediction: np.ndarray, truth: np.ndarray) -> None:
    if prediction.shape != truth.shape:
        sizes = (" x ".join(map(str, labels.shape)) for labels in (truth, prediction))
        raise ValueError("prediction: expected {} pixels as in the truth, got {}".format(*sizes))
