"""What an evaluation has counted so far, and what it comes to in the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.occurrence import missing_classes
from . import metrics
from .confusion import boundary_counts, confusion_matrix
from .fragments import fragment_counts
from .outcome import ACCURACY, BOUNDARY_IOU, IOU, LESSER_IOU, class_key
from .truth import GroundTruth


@dataclass(frozen=True)
class Extras:
    """Figures beside the usual ones.

    Attributes:
        boundary_iou: boundary IoU of every class and their mean.
        old_miou_rule: mIoU by Detectron2's rule before July 2022.
        fragments: connected components of the predictions over those of the truth.
    """

    boundary_iou: bool = False
    old_miou_rule: bool = False
    fragments: bool = False


NO_EXTRAS = Extras()


@dataclass
class Tally:
    """Counted pixels over pictures, exact, so that shards can be added up in any order.

    Args:
        classes: K.
        ignore_label: value of true pixels that do not count.
        extras: what else to count.
    """

    classes: int
    ignore_label: int
    extras: Extras = NO_EXTRAS
    matrix: np.ndarray = field(init=False)
    boundary: np.ndarray = field(init=False)
    fragments: np.ndarray = field(init=False)
    covered: np.ndarray = field(init=False)
    ignored: int = field(init=False, default=0)
    pictures: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.matrix = np.zeros((self.classes, self.classes), np.int64)
        self.boundary = np.zeros((3, self.classes), np.int64)
        self.fragments = np.zeros(2, np.int64)
        # Pixels under segments, and pixels of pictures that have such.
        self.covered = np.zeros(2, np.int64)

    def add(
        self,
        picture: str,
        prediction: np.ndarray,
        truth: np.ndarray,
        covered: float | None = None,
    ) -> None:
        """Count a picture.

        Args:
            picture: its name; each is counted once.
            prediction: H x W, classes.
            truth: H x W, classes and the ignore label.
            covered: share of the pixels that segments cover, 0..1; None for a model without.

        Raises:
            ValueError: a picture for the second time, sizes that differ, or a value that is no
                class.
        """
        if picture in self.pictures:
            raise _twice(picture)
        arguments = (prediction, truth, self.classes, self.ignore_label)
        try:
            counts = confusion_matrix(*arguments)
            self.matrix += counts
            self.ignored += truth.size - int(counts.sum())
            if self.extras.boundary_iou:
                self.boundary += boundary_counts(*arguments)
            if self.extras.fragments:
                self.fragments += fragment_counts(prediction, truth, self.ignore_label)
        except ValueError as error:
            raise ValueError(f"{picture}: {error}") from error
        if covered is not None:
            self.covered += (round(covered * truth.size), truth.size)
        self.pictures.add(picture)

    def merge(self, others: Iterable[Tally]) -> Tally:
        """Add up shards, this one not included.

        Raises:
            ValueError: a picture that two shards counted.
        """
        total = Tally(self.classes, self.ignore_label, self.extras)
        for other in others:
            if both := total.pictures & other.pictures:
                raise _twice(min(both))
            total.matrix += other.matrix
            total.boundary += other.boundary
            total.fragments += other.fragments
            total.covered += other.covered
            total.ignored += other.ignored
            total.pictures |= other.pictures
        return total

    def results(self, truth: GroundTruth) -> dict[str, float]:
        """All figures, under the names that Detectron2's SemSegEvaluator gives them.

        In percent, but for "fragments", a ratio.
        """
        names = truth.labels.classes
        scores = metrics.ClassScores.from_matrix(self.matrix)
        whole = metrics.summary(self.matrix)
        results = {"mIoU": whole["mIoU"], "fwIoU": whole["fwIoU"]}
        results |= _by_class(IOU, names, scores.iou)
        if self.extras.boundary_iou:
            boundary = metrics.boundary_ious(self.boundary, scores.true_pixels)
            occurs = scores.true_pixels > 0
            mean = boundary[occurs].mean() if occurs.any() else float("nan")
            results["mBoundaryIoU"] = 100 * float(mean)
            for name, iou, edge in zip(names, scores.iou, boundary, strict=True):
                results[class_key(BOUNDARY_IOU, name)] = 100 * edge
                results[class_key(LESSER_IOU, name)] = 100 * min(iou, edge)
        results |= {"mACC": whole["mACC"], "pACC": whole["pACC"]}
        results |= _by_class(ACCURACY, names, scores.accuracy)
        if self.extras.old_miou_rule:
            results["mIoU_old_rule"] = metrics.old_rule_miou(self.matrix)
        if truth.unseen_classes:
            results |= metrics.split_mious(self.matrix, truth.unseen_indices)
        if self.extras.fragments:
            predicted, true = self.fragments.tolist()
            results["fragments"] = predicted / true if true else float("nan")
        if self.covered[1]:
            results["covered"] = 100 * self.covered[0] / self.covered[1]
        return {name: float(value) for name, value in results.items()}

    def missing_classes(self, truth: GroundTruth) -> str:
        """Say which classes no label shows, "" where all occur."""
        return missing_classes(truth.labels, self.matrix.sum(0).tolist(), self.ignored)

    def per_class(self, truth: GroundTruth) -> list[dict[str, Any]]:
        """One row a class, in the order of their indices; figures in percent, NaN for none."""
        scores = metrics.ClassScores.from_matrix(self.matrix)
        boundary = metrics.boundary_ious(self.boundary, scores.true_pixels)
        unseen = set(truth.unseen_indices)
        rows = []
        for index, name in enumerate(truth.labels.classes):
            row: dict[str, Any] = {"index": index, "class": name}
            row[IOU] = 100 * float(scores.iou[index])
            row[ACCURACY] = 100 * float(scores.accuracy[index])
            if self.extras.boundary_iou:
                row[BOUNDARY_IOU] = 100 * float(boundary[index])
            row["true_pixels"] = int(scores.true_pixels[index])
            row["predicted_pixels"] = int(scores.predicted_pixels[index])
            if unseen:
                row["unseen"] = int(index in unseen)
            rows.append(row)
        return rows


def _by_class(figure: str, names: Iterable[str], values: np.ndarray) -> dict[str, float]:
    """A figure of each class, in percent."""
    return {class_key(figure, name): 100 * value for name, value in zip(names, values, strict=True)}


def _twice(picture: str) -> ValueError:
    return ValueError(
        f"{picture} was evaluated twice; every picture must come once over all processes, as from "
        "Detectron2's InferenceSampler"
    )
