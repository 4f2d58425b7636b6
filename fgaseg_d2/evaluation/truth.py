"""What predictions of a test set are scored against: label files, classes and how to count them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog

from ..data.labels import LabelSpec, read_tagged_label
from ..data.records import dataset_records
from ..vocabulary import Vocabulary, sources
from ..vocabulary import dataset_words as metadata_words
from ..vocabulary.vocabulary import BACKGROUND
from ..vocabulary.zero_shot import METADATA, unseen_names
from ..wording import shown


@dataclass(frozen=True)
class GroundTruth:
    """The truth of a test set.

    Attributes:
        labels: name of the set, classes, and what the label files may hold.
        files: label file of each picture, by the picture's name.
        background_class: every prediction from this index on counts as this class; None where
            predictions count as they are.
        unseen_classes: names of classes that training did not show; empty for no such split.
    """

    labels: LabelSpec
    files: Mapping[str, str]
    background_class: int | None = None
    unseen_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        classes, background = len(self.labels.classes), self.background_class
        if background is not None and not 0 <= background < classes:
            raise ValueError(
                f"dataset {shown(self.labels.dataset_name)} has the background_class "
                f"{background}, but "
                f"its {classes} stuff_classes are 0 .. {classes - 1}; correct the metadata"
            )
        for name in self.unseen_classes:
            if name not in self.labels.classes:
                near = difflib.get_close_matches(name, self.labels.classes, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "name classes of this dataset"
                raise ValueError(
                    f"expected unseen classes of {shown(self.labels.dataset_name)}, got "
                    f"{shown(name)}; {hint}"
                )

    @classmethod
    def from_metadata(
        cls, dataset_name: str, unseen_classes: str = "", most: int = 0
    ) -> GroundTruth:
        """Take a registered dataset.

        Args:
            dataset_name: name in the DatasetCatalog. Its metadata ``fgaseg_d2`` may have
                "background_class" and "unseen_classes".
            unseen_classes: takes the place of the metadata's; see `unseen_names`.
            most: only the first pictures, this many; 0 for all.

        Raises:
            ValueError: the dataset cannot be evaluated, or lists a picture twice.
            FileNotFoundError: as the dataset's own loading function says, or no such file.
        """
        labels = LabelSpec.from_metadata(dataset_name)
        metadata = MetadataCatalog.get(dataset_name)
        files: dict[str, str] = {}
        for record in dataset_records(dataset_name, most):
            picture = os.fsdecode(record["file_name"])
            if picture in files:
                raise ValueError(
                    f"dataset {shown(dataset_name)} lists {picture} twice; every picture must be "
                    "there "
                    "once"
                )
            files[picture] = os.fsdecode(record["sem_seg_file_name"])
        unseen = unseen_names(unseen_classes or METADATA, labels.classes, metadata)
        background = metadata_words.background_class(metadata, len(labels.classes))
        return cls(labels, files, background, unseen)

    @property
    def unseen_indices(self) -> list[int]:
        """Indices of the unseen classes."""
        return [i for i, name in enumerate(self.labels.classes) if name in self.unseen_classes]

    def read(self, picture: str) -> np.ndarray:
        """Read the true labels of a picture, H x W int32; see :meth:`read_tagged`."""
        return self.read_tagged(picture)[0]

    def read_tagged(self, picture: str) -> tuple[np.ndarray, int]:
        """Read the true labels of a picture.

        Args:
            picture: its name in :attr:`files`.

        Returns:
            H x W int32, classes and the ignore label, upright; and the orientation that the file
            had, 1 for none.

        Raises:
            FileNotFoundError: no such label file.
            ValueError: not a picture of this set, a damaged file, or a value that is neither class
                nor ignore label.
        """
        try:
            file_name = self.files[picture]
        except KeyError:
            raise ValueError(
                f"picture {picture} is not in the dataset {shown(self.labels.dataset_name)}; "
                "evaluate on the pictures that its loading function lists"
            ) from None
        label, tag = read_tagged_label(file_name)
        self.labels.check(label, file_name)
        return label, tag

    def evaluated(self, prediction: np.ndarray, words: Any = None) -> np.ndarray:
        """Turn predicted into evaluated classes, H x W: several of them may be background.

        Args:
            prediction: H x W, numbers of the words' channels.
            words: the `Vocabulary` that was looked for. Where its background is a threshold, its
                last channel, and that of the labels their class 0, all classes move up by one.
        """
        last = isinstance(words, Vocabulary) and words.has_background
        if last and self.labels.classes[0] == BACKGROUND:
            return (prediction + 1) % len(words)
        if self.background_class is None:
            return prediction
        return np.minimum(prediction, self.background_class)


def read_unseen_classes(words: str) -> tuple[str, ...]:
    """Read names of classes: "a,b", or a file with one class a line.

    Raises:
        ValueError: not a list of names.
        FileNotFoundError: no such file.
    """
    return sources.read_names(words)
