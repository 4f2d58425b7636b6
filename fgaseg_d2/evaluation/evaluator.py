"""SegmentationEvaluator: scores a model's outputs on a registered dataset."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from .confusion import check_classes
from .predictions import PredictionWriter
from .tally import NO_EXTRAS, Extras, Tally
from .truth import GroundTruth

logger = logging.getLogger(__name__)


class SegmentationEvaluator(DatasetEvaluator):
    """Counts predicted against true classes; its figures are those of SemSegEvaluator.

    Unlike that it takes labels as well as scores, knows classes that count as background, finds
    label values that are neither class nor ignore label, and notices pictures that come twice or
    never.

    Attributes:
        takes_labels: True; a model is asked for scores at the picture's size only where some
            evaluator does not say so of itself.
    """

    takes_labels = True

    def __init__(
        self,
        truth: GroundTruth,
        extras: Extras = NO_EXTRAS,
        writer: PredictionWriter | None = None,
    ):
        """Take everything as plain values.

        Args:
            truth: of the dataset, the same on all ranks.
            extras: figures beside the usual ones.
            writer: keeps the predictions; None keeps none.
        """
        self.truth = truth
        self.extras = extras
        self.writer = writer
        self.tally = self._new_tally()

    def _new_tally(self) -> Tally:
        return Tally(len(self.truth.labels.classes), self.truth.labels.ignore_label, self.extras)

    def reset(self) -> None:
        """Begin anew."""
        self.tally = self._new_tally()
        if self.writer is not None:
            self.writer.start()

    def process(self, inputs: Sequence[Mapping], outputs: Sequence[Mapping]) -> None:
        """Count some pictures.

        Args:
            inputs: dicts with "file_name", as the dataset lists it.
            outputs: for each a dict with "labels", H x W class indices, or "sem_seg", K x H x W
                scores, at the size of the label file; perhaps "covered", the share of the pixels
                that segments cover.

        Raises:
            FileNotFoundError: no label file.
            ValueError: a label file, a prediction or a picture that does not belong here.
        """
        for item, output in zip(inputs, outputs, strict=True):
            name = os.fsdecode(item["file_name"])
            prediction = self.truth.evaluated(_labels(output), item.get("vocabulary"))
            check_classes(prediction, len(self.truth.labels.classes), f"{name}: prediction")
            self.tally.add(name, prediction, self.truth.read(name), output.get("covered"))
            if self.writer is not None:
                self.writer.write(name, prediction)

    def evaluate(self) -> OrderedDict[str, Any] | None:
        """Add up what all ranks counted; afterwards :attr:`tally` is that of all.

        Returns:
            On the first rank {"sem_seg": figures in percent}, see :meth:`Tally.results`; None on
            the others.

        Raises:
            ValueError: two ranks counted the same picture.
        """
        comm.synchronize()
        self.tally = self.tally.merge(comm.all_gather(self.tally))
        if not comm.is_main_process():
            return None
        missing = self.truth.files.keys() - self.tally.pictures
        if missing:
            logger.warning(
                "%s: %d of %d pictures were not evaluated, such as %s",
                *(self.truth.labels.dataset_name, len(missing), len(self.truth.files)),
                min(missing),
            )
        if absent := self.tally.missing_classes(self.truth):
            logger.warning("%s: %s", self.truth.labels.dataset_name, absent)
        if self.writer is not None:
            self.writer.finish(self.tally.pictures)
        return OrderedDict(sem_seg=self.tally.results(self.truth))


def _labels(output: Mapping) -> np.ndarray:
    """Best class of every pixel, H x W."""
    labels = output["labels"] if "labels" in output else output["sem_seg"].argmax(0)
    return labels.cpu().numpy()
