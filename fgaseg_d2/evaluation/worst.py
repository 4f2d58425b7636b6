"""Finds in saved predictions the classes that went worst, and the pictures that cost them most."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from ..data.labels import read_tagged_label
from ..data.pair_sizes import Found, check_prediction
from .confusion import confusion_matrix
from .metrics import ClassScores
from .predictions import SavedPredictions


def read_pair(saved: SavedPredictions, picture: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of a picture, H x W int32 each.

    Args:
        saved: of a test set.
        picture: one of ``saved.files``.

    Raises:
        FileNotFoundError: a label file is missing.
        ValueError: a damaged label file, a value that is no class, or two sizes.
    """
    file_name = str(saved.files[picture])
    truth, truth_tag = saved.truth.read_tagged(picture)
    prediction, tag = read_tagged_label(file_name)
    saved.truth.labels.check(prediction, file_name)
    check_prediction(
        Found(file_name, prediction.shape, tag),
        Found(saved.truth.files[picture], truth.shape, truth_tag),
    )
    return truth, prediction


@dataclasses.dataclass(frozen=True)
class Counts:
    """Pixels of P pictures and K classes where the truth is known.

    Attributes:
        pictures: names of the P pictures.
        truth, predicted, hit: P x K pixels of a class in truth, prediction and both.
        matrix: K x K, row = predicted, column = true class.
    """

    pictures: Sequence[str]
    truth: np.ndarray
    predicted: np.ndarray
    hit: np.ndarray
    matrix: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """IoU of each class over all pictures in 0 .. 1; nan where it is nowhere in the truth."""
        return ClassScores.from_matrix(self.matrix).iou

    @property
    def accuracy(self) -> float:
        """Share of the pixels with the right class; nan where no truth is known."""
        total = self.truth.sum()
        return float(self.hit.sum() / total) if total else float("nan")

    def worst_classes(self, count: int) -> list[int]:
        """Classes of the truth from the lowest IoU on; of equal ones the larger first."""
        order = np.lexsort((-self.truth.sum(0), self.iou))
        return [int(index) for index in order if not np.isnan(self.iou[index])][:count]

    def costliest_pictures(self, index: int, count: int) -> list[int]:
        """Positions of the pictures in which a class has the most wrong pixels."""
        wrong = self.truth[:, index] + self.predicted[:, index] - 2 * self.hit[:, index]
        order = np.argsort(-wrong, kind="stable")
        return [int(position) for position in order if wrong[position]][:count]

    def taken_for(self, index: int, count: int = 3) -> list[tuple[int, float]]:
        """What the pixels of a class were wrongly taken for most: class, and share of them."""
        given = self.matrix[:, index]
        shares = given / max(1, given.sum())
        shares[index] = 0
        order = np.argsort(-shares)[:count]
        return [(int(other), float(shares[other])) for other in order if shares[other]]


def count_pixels(saved: SavedPredictions, pictures: Iterable[str]) -> Counts:
    """Count the pixels of some pictures.

    Args:
        saved: of a test set.
        pictures: some of ``saved.files``, at least one.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_pair`.
    """
    ignore_label, classes = saved.truth.labels.ignore_label, len(saved.truth.labels.classes)
    counted, rows = [], []
    total = np.zeros((classes, classes), np.int64)
    for picture in pictures:
        truth, prediction = read_pair(saved, picture)
        # A pixel without a prediction counts nowhere.
        truth = np.where(prediction == ignore_label, ignore_label, truth)
        matrix = confusion_matrix(prediction, truth, classes, ignore_label)
        total += matrix
        counted.append(picture)
        rows.append((matrix.sum(0), matrix.sum(1), matrix.diagonal()))
    in_truth, predicted, hit = np.array(rows).transpose(1, 0, 2)
    return Counts(counted, in_truth, predicted, hit, total)
