"""Detectron2's evaluator of semantic segmentation, fed with labels that keep all their bits."""

import os

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import SemSegEvaluator

from fgaseg_d2.data.labels import LabelSpec, dataset_records, read_label


class LabelLoader:
    """The ``sem_seg_loading_fn`` of SemSegEvaluator: exact values, and only legal ones."""

    def __init__(self, labels: LabelSpec):
        """Take what the label files may hold."""
        self.labels = labels

    def __call__(self, filename: str, copy: bool = False, dtype: type | None = None) -> np.ndarray:
        """Read a label file.

        Args:
            filename: one-channel PNG or TIFF.
            copy: without effect; the array is always the caller's own.
            dtype: of the result, int32 by default.

        Returns:
            H x W class indices and ignore labels.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a label file, or a value that is neither class nor ignore label, which
                the confusion matrix would count as another class.
        """
        label = read_label(filename)
        self.labels.check(label, filename)
        return label if dtype is None else label.astype(dtype)


def build_sem_seg_evaluator(dataset_name: str, output_dir: str) -> SemSegEvaluator:
    """Build the evaluator of a registered dataset.

    Args:
        dataset_name: name in the DatasetCatalog. Without an ``ignore_label`` it gets the default of
            :class:`~fgaseg_d2.data.labels.LabelSpec`.
        output_dir: results go to a folder inferred from the dataset's name below it.

    Returns:
        An evaluator of mIoU, accuracy and, below 255 classes, boundary IoU, in percent.

    Raises:
        ValueError: the dataset cannot be evaluated.
    """
    labels = LabelSpec.from_metadata(dataset_name)
    dataset_records(dataset_name)
    MetadataCatalog.get(dataset_name).set(ignore_label=labels.ignore_label)
    return SemSegEvaluator(
        dataset_name,
        output_dir=os.path.join(output_dir, "inference", dataset_name),
        sem_seg_loading_fn=LabelLoader(labels),
    )
