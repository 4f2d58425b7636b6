"""A sample of a registered dataset -> the dict that the model takes, augmented in training."""

import os
from collections.abc import Collection, Sequence

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import MetadataCatalog

from ...config.renamed_keys import setting
from ...vocabulary import Vocabulary
from ...vocabulary.zero_shot import unseen_names
from ...wording import shown
from ..dataset_words import evaluation_vocabulary, training_vocabulary
from ..labels import (
    DEFAULT_IGNORE_LABEL,
    LabelSpec,
    outside_classes,
    read_tagged_label,
    tagged_label_size,
)
from ..occurrence import warn_of_missing_classes
from ..pair_sizes import Found, check_pair
from .inputs import PictureInput, Step, evaluation_augmentations, train_augmentations
from .pictures import opened_record


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
        unseen: Collection[int] = (),
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
            unseen: classes whose pixels are ignored, in training.

        Raises:
            ValueError: ignore_value is a class index, in training.
        """
        if is_train and ignore_value != outside_classes(ignore_value, len(labels.classes)):
            raise ValueError(
                f"expected MODEL.SEM_SEG_HEAD.IGNORE_VALUE outside the {len(labels.classes)} "
                f"classes of {shown(labels.dataset_name)}, got {ignore_value}; set it to "
                f"{outside_classes(ignore_value, len(labels.classes))}"
            )
        self.is_train = is_train
        self.prepare = PictureInput(augmentations, image_format)
        self.labels = labels
        self.ignore_value = ignore_value
        self.vocabulary = vocabulary
        self.unseen = list(unseen)

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset_name: str, is_train: bool = True) -> dict:
        """Read the arguments from a configuration.

        Args:
            cfg: INPUT, MODEL.SEM_SEG_HEAD.IGNORE_VALUE, DATASETS.UNSEEN, TEST and
                TEST_VOCABULARIES are used.
            dataset_name: a registered dataset.
            is_train: whether to augment and to return the label.
        """
        labels = LabelSpec.from_metadata(dataset_name)
        if is_train:
            augmentations = train_augmentations(cfg, geometry_ignore(labels))
        else:
            augmentations = evaluation_augmentations(cfg)
        unseen = unseen_names(
            setting(cfg, "DATASETS.UNSEEN"), labels.classes, MetadataCatalog.get(dataset_name)
        )
        return {
            "is_train": is_train,
            "augmentations": augmentations,
            "image_format": cfg.INPUT.FORMAT,
            "labels": labels,
            "unseen": [labels.classes.index(name) for name in unseen],
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
            file in pixels, ``vocabulary`` and, in training, ``sem_seg`` (H x W int64) and, where
            the picture shows unseen classes, ``unlabelled`` (H x W bool): their pixels.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, sizes differ, or a label value is out of range.
        """
        record, image, picture = opened_record(record)
        if self.vocabulary is not None:
            record["vocabulary"] = self.vocabulary
        if self.is_train:
            label_file = os.fsdecode(record["sem_seg_file_name"])
            return record | self._augment(image, picture, label_file)
        if "sem_seg_file_name" in record:
            label_file = os.fsdecode(record["sem_seg_file_name"])
            check_pair(picture, Found(label_file, *tagged_label_size(label_file)))
        record["image"] = self.prepare(image)
        return record

    def look_over(self, records: Sequence[dict]) -> None:
        """See :func:`warn_of_missing_classes`: before the training."""
        warn_of_missing_classes(self.labels, records)

    def _augment(
        self, image: np.ndarray, picture: Found, label_file: str
    ) -> dict[str, torch.Tensor]:
        label, tag = read_tagged_label(label_file)
        check_pair(picture, Found(label_file, label.shape, tag))
        self.labels.check(label, label_file)
        inner_ignore = geometry_ignore(self.labels)
        hidden = np.isin(label, self.unseen)
        label[hidden | (label == self.labels.ignore_label)] = inner_ignore
        # uint8 where it suffices: Detectron2's own transforms know nothing wider.
        narrow = inner_ignore == DEFAULT_IGNORE_LABEL
        tensor, target, withheld = self.prepare.with_labels(
            image, label.astype(np.uint8) if narrow else label, hidden.astype(np.uint8)
        )
        target[target == inner_ignore] = self.ignore_value
        sample = {"image": tensor, "sem_seg": target}
        return sample | {"unlabelled": withheld == 1} if hidden.any() else sample


def geometry_ignore(labels: LabelSpec) -> int:
    """Value of ignored pixels while a label is transformed: 255, or beyond it if 255 is a class."""
    return outside_classes(DEFAULT_IGNORE_LABEL, len(labels.classes))
