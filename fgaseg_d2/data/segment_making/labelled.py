"""Label maps -> segments: the pixels of a class of a picture, or each connected piece of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from detectron2.data import MetadataCatalog

from ...vocabulary.vocabulary import BACKGROUND
from ...vocabulary.zero_shot import unseen_names
from ..dataset_words import training_vocabulary
from ..labels import LabelSpec, read_tagged_label
from ..mappers.pictures import opened_record
from ..pair_sizes import Found, check_pair
from .made import Made, Wanted, name_within


@dataclass(frozen=True)
class LabelMaps:
    """Makes records of a labelled dataset's.

    Attributes:
        labels: of the dataset.
        texts: of each class; none for a class that is left out.
        images: folder that "file_name" begins at.
        wanted: what the segments are to be.
        pieces: each connected piece of a class is a segment, and not all of its pixels; pixels
            that touch at a corner are connected.
    """

    labels: LabelSpec
    texts: tuple[tuple[str, ...], ...]
    images: Path
    wanted: Wanted
    pieces: bool = False

    @classmethod
    def of_dataset(
        cls,
        name: str,
        images: Path,
        wanted: Wanted,
        *,
        pieces: bool = False,
        unseen: str = "",
        all_names: bool = False,
    ) -> LabelMaps:
        """Of a registered dataset, whose class "background", if it has one, is left out.

        Args:
            name: in the DatasetCatalog.
            images, wanted, pieces: as the attributes.
            unseen: classes that are left out, as DATASETS.UNSEEN says them.
            all_names: all names of a class are its texts, and not the first one.

        Raises:
            ValueError: not such a dataset, or none of its classes is to be left out so.
        """
        labels = LabelSpec.from_metadata(name)
        words = training_vocabulary(labels, all_names).classes
        gone = {BACKGROUND, *unseen_names(unseen, labels.classes, MetadataCatalog.get(name))}
        texts = tuple(
            () if gone & {own, names[0]} else names
            for own, names in zip(labels.classes, words, strict=True)
        )
        return cls(labels, texts, images, wanted, pieces)

    def __call__(self, item: tuple[int, Mapping[str, Any]]) -> Made:
        """A record of the dataset, and its number -> one of the file."""
        number, record = item
        made = Made()
        try:
            read, _, picture = opened_record(record)
            label_file = os.fsdecode(record["sem_seg_file_name"])
            label, tag = read_tagged_label(label_file)
            self.labels.check(label, label_file)
            check_pair(picture, Found(label_file, label.shape, tag))
        except (ValueError, OSError) as error:
            made.problems.append(str(error))
            return made
        source = self.labels.dataset_name
        made.record = {
            "image_id": number,
            "file_name": name_within(picture.name, self.images),
            "height": read["height"],
            "width": read["width"],
            "segments": list(self.wanted.segments(self._masks(label, made), source, made)),
        }
        return made

    def _masks(self, label: np.ndarray, made: Made) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
        for value in np.unique(label).tolist():
            if value == self.labels.ignore_label:
                continue
            if not self.texts[value]:
                made.left_out["of classes that are left out"] += 1
                continue
            mask = label == value
            for piece in _pieces(mask) if self.pieces else (mask,):
                yield piece, self.texts[value]


def _pieces(mask: np.ndarray) -> Iterator[np.ndarray]:
    _, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    # 0 is what lies around them.
    for number, (left, top, width, height, _) in enumerate(boxes[1:].tolist(), start=1):
        inside = np.s_[top : top + height, left : left + width]
        piece = np.zeros(mask.shape, bool)
        piece[inside] = numbers[inside] == number
        yield piece
