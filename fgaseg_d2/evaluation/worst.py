"""Finds in saved predictions the classes that went worst, and the pictures that cost them most."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fgaseg_d2.data.labels import LabelSpec, read_label

FILE_NAME = "predictions.json"


@dataclasses.dataclass(frozen=True)
class SavedPredictions:
    """What a run left in ``OUTPUT_DIR/inference/<dataset>/predictions``.

    Attributes:
        folder: that folder.
        labels: name of the dataset, its evaluated classes and its ignore label.
        files: for each picture its "prediction" (relative to the folder) and its "truth".
    """

    folder: Path
    labels: LabelSpec
    files: Mapping[str, Mapping[str, str]]

    def pair(self, picture: str) -> tuple[np.ndarray, np.ndarray]:
        """Truth and prediction of a picture, H x W int32 each.

        Raises:
            FileNotFoundError: a label file is missing.
            ValueError: a damaged label file, a value that is no class, or two sizes.
        """
        truth_file = self.files[picture]["truth"]
        prediction_file = str(self.folder / self.files[picture]["prediction"])
        truth, prediction = read_label(truth_file), read_label(prediction_file)
        self.labels.check(truth, truth_file)
        self.labels.check(prediction, prediction_file)
        if truth.shape != prediction.shape:
            raise ValueError(
                f"expected one size, got {truth.shape} (height, width) in {truth_file} and "
                f"{prediction.shape} in {prediction_file}; predict again"
            )
        return truth, prediction


def read_predictions(folder: Path) -> SavedPredictions:
    """Read predictions.json of a folder.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no list of predictions, or an empty one.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        below = sorted(folder.rglob(FILE_NAME))
        hint = f"there is {below[0].parent}" if below else "save them when you evaluate"
        raise FileNotFoundError(f"expected saved predictions at {path}, got nothing; {hint}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        labels = LabelSpec(
            str(content["dataset"]), tuple(content["classes"]), int(content["ignore_label"])
        )
        files = {
            str(picture): {key: str(names[key]) for key in ("prediction", "truth")}
            for picture, names in content["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a list of saved predictions, got another file ({error!r})"
        ) from error
    if not files or not labels.classes:
        raise ValueError(f"{path}: expected classes and predictions, got none")
    return SavedPredictions(folder, labels, files)


@dataclasses.dataclass(frozen=True)
class Counts:
    """Pixels of P pictures and K classes where the truth is known.

    Attributes:
        pictures: names of the P pictures.
        truth, predicted, hit: P x K pixels of a class in truth, prediction and both.
        confusion: K x K, pixels of class [true] that were given class [predicted].
    """

    pictures: Sequence[str]
    truth: np.ndarray
    predicted: np.ndarray
    hit: np.ndarray
    confusion: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """IoU of each class over all pictures in 0 .. 1; nan where it is nowhere in the truth."""
        truth, predicted, hit = (part.sum(0) for part in (self.truth, self.predicted, self.hit))
        union = np.maximum(truth + predicted - hit, 1)
        return np.where(truth > 0, hit / union, np.nan)

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
        row = self.confusion[index].astype(float) / max(1, self.confusion[index].sum())
        row[index] = 0
        return [(int(other), float(row[other])) for other in np.argsort(-row)[:count] if row[other]]


def count_pixels(pairs: Iterator[tuple[str, np.ndarray, np.ndarray]], labels: LabelSpec) -> Counts:
    """Count over all pictures.

    Args:
        pairs: name of a picture, truth and prediction, H x W each.
        labels: the classes, and which truth does not count.
    """
    classes = len(labels.classes)
    pictures, rows = [], []
    confusion = np.zeros((classes, classes), np.int64)
    for picture, truth, prediction in pairs:
        known = (truth != labels.ignore_label) & (prediction != labels.ignore_label)
        pixels = truth[known].astype(np.int64) * classes + prediction[known]
        values, counts = np.unique(pixels, return_counts=True)
        rows_of, columns = np.divmod(values, classes)
        np.add.at(confusion, (rows_of, columns), counts)
        hits = rows_of == columns
        sums = [
            np.bincount(where, counts_of, classes).astype(np.int64)
            for where, counts_of in (
                (rows_of, counts),
                (columns, counts),
                (rows_of[hits], counts[hits]),
            )
        ]
        pictures.append(picture)
        rows.append(sums)
    truth, predicted, hit = np.array(rows).transpose(1, 0, 2)
    return Counts(pictures, truth, predicted, hit, confusion)
