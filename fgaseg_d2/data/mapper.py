"""A sample of a registered dataset -> the dict that the model takes, augmented in training."""

import copy

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.utils.file_io import PathManager

from fgaseg_d2.data.dataset_words import evaluation_vocabulary, training_vocabulary
from fgaseg_d2.data.inputs import PictureInput, Step, evaluation_augmentations, train_augmentations
from fgaseg_d2.data.labels import (
    DEFAULT_IGNORE_LABEL,
    LabelSpec,
    label_size,
    outside_classes,
    read_label,
)
from fgaseg_d2.files import read_image
from fgaseg_d2.vocabulary import Vocabulary


class SemanticMapper:
    """Reads picture and label of one sample, transforms both, and adds the dataset's vocabulary.

    In training every pixel of the label becomes a class index or ``ignore_value``; at test time the
    label file is only checked for its size, because the evaluator reads it.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentations: list[Step],
        image_format: str,
        labels: LabelSpec,
        ignore_value: int,
        vocabulary: Vocabulary | None = None,
    ):
        """Take everything as plain values.

        Args:
            is_train: whether to return the label.
            augmentations: applied in this order to the picture and, in training, to the label,
                whose ignored pixels are :func:`geometry_ignore` meanwhile.
            image_format: channel order of the result, "RGB" or "BGR".
            labels: what the label files may hold.
            ignore_value: value of ignored pixels in the result, in training.
            vocabulary: handed to the model with every sample; None leaves the choice to the model.

        Raises:
            ValueError: ignore_value is a class index, in training.
        """
        if is_train and ignore_value != outside_classes(ignore_value, len(labels.classes)):
            raise ValueError(
                f"expected MODEL.SEM_SEG_HEAD.IGNORE_VALUE outside the {len(labels.classes)} "
                f"classes of {labels.dataset_name!r}, got {ignore_value}; set it to "
                f"{outside_classes(ignore_value, len(labels.classes))}"
            )
        self.is_train = is_train
        self.prepare = PictureInput(augmentations, image_format)
        self.labels = labels
        self.ignore_value = ignore_value
        self.vocabulary = vocabulary

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset_name: str, is_train: bool = True) -> dict:
        """Read the arguments from a configuration.

        Args:
            cfg: INPUT, MODEL.SEM_SEG_HEAD.IGNORE_VALUE, DATASETS.TEST and TEST_VOCABULARIES are
                used.
            dataset_name: a registered dataset.
            is_train: whether to augment and to return the label.
        """
        labels = LabelSpec.from_metadata(dataset_name)
        if is_train:
            augmentations = train_augmentations(cfg, geometry_ignore(labels))
        else:
            augmentations = evaluation_augmentations(cfg)
        return {
            "is_train": is_train,
            "augmentations": augmentations,
            "image_format": cfg.INPUT.FORMAT,
            "labels": labels,
            "ignore_value": cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
            "vocabulary": (
                training_vocabulary(labels) if is_train else evaluation_vocabulary(cfg, labels)
            ),
        }

    def __call__(self, record: dict) -> dict:
        """Read and transform one sample.

        Args:
            record: a dataset dict with ``file_name``, ``sem_seg_file_name`` and possibly
                ``height`` and ``width``.

        Returns:
            The record with ``image`` (3 x H x W uint8), ``height`` and ``width`` of the picture
            file in pixels, ``vocabulary`` and, in training, ``sem_seg`` (H x W int64).

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, sizes differ, or a label value is out of range.
        """
        record = copy.copy(record)
        image = read_image(PathManager.get_local_path(record["file_name"]))
        _check_sizes(record, image.shape[:2])
        record["height"], record["width"] = image.shape[:2]
        if self.vocabulary is not None:
            record["vocabulary"] = self.vocabulary
        if self.is_train:
            label_file = record["sem_seg_file_name"]
            record["image"], record["sem_seg"] = self._augment(image, label_file)
        else:
            record["image"] = self.prepare(image)
        return record

    def _augment(self, image: np.ndarray, label_file: str) -> tuple[torch.Tensor, torch.Tensor]:
        label = read_label(label_file)
        self.labels.check(label, label_file)
        inner_ignore = geometry_ignore(self.labels)
        label[label == self.labels.ignore_label] = inner_ignore
        # uint8 where it suffices: Detectron2's own transforms know nothing wider.
        narrow = inner_ignore == DEFAULT_IGNORE_LABEL
        tensor, target = self.prepare.with_label(image, label.astype(np.uint8) if narrow else label)
        target[target == inner_ignore] = self.ignore_value
        return tensor, target


def geometry_ignore(labels: LabelSpec) -> int:
    """Value of ignored pixels while a label is transformed: 255, or beyond it if 255 is a class."""
    return outside_classes(DEFAULT_IGNORE_LABEL, len(labels.classes))


def _check_sizes(record: dict, size: tuple[int, int]) -> None:
    """Compare a picture's height and width with its record and its label file."""
    stated = (record.get("height", size[0]), record.get("width", size[1]))
    found = {"its dataset record": stated}
    if "sem_seg_file_name" in record:
        name = record["sem_seg_file_name"]
        found[f"its label file {name}"] = label_size(name)
    for where, other in found.items():
        if tuple(other) != tuple(size):
            raise ValueError(
                f"picture {record['file_name']} has {size[0]} x {size[1]} pixels (height x width), "
                f"but {where} says {other[0]} x {other[1]}; both must be equal"
            )
