"""Reads a whole dataset, to find before the training what would stop it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
from detectron2.data import MetadataCatalog

from ..io.orientation import UPRIGHT
from ..io.progress import with_progress
from ..vocabulary.dataset_words import CAPTIONED, SEGMENTED
from ..wording import shown
from .dataset_files import read_dataset_picture
from .labels import LabelSpec, read_tagged_label
from .mappers.pictures import opened_record
from .occurrence import missing_classes
from .pair_sizes import Found, check_pair
from .problem_lines import problem_lines
from .records import check_captions, dataset_kind, dataset_records
from .segment_checking import SegmentReport, check_segment_records
from .shards.checking import ShardReport, check_shards
from .shards.finding import find_shards


@dataclass(frozen=True)
class Report:
    """What is in a dataset.

    Attributes:
        labels: its classes and its ignore label.
        pictures: how many there are.
        pixels: of each class, K.
        occurs: pictures in which each class is, K.
        ignored: pixels of no class.
        problems: one line for each file that cannot be used.
        tagged_pictures, tagged_labels: files with an orientation tag, which is applied.
    """

    labels: LabelSpec
    pictures: int
    pixels: np.ndarray
    occurs: np.ndarray
    ignored: int
    problems: list[str]
    tagged_pictures: int = 0
    tagged_labels: int = 0

    def text(self) -> str:
        """The report for people."""
        total = max(1, int(self.pixels.sum()) + self.ignored)
        names = self.labels.classes
        width = max(map(len, names))
        lines = [
            f"{self.labels.dataset_name}: {self.pictures} pictures, {len(names)} classes, ignore "
            f"label {self.labels.ignore_label} on {self.ignored / total:.1%} of the pixels"
        ]
        for index, name in enumerate(names):
            share = f"{self.pixels[index] / total:8.2%} of the pixels"
            lines.append(f"{index:5d}  {name:{width}} {share}, in {self.occurs[index]} pictures")
        if missing := missing_classes(self.labels, self.pixels.tolist(), self.ignored):
            lines.append(f"  {missing}")
        if self.tagged_pictures or self.tagged_labels:
            lines.append(
                f"  orientation tags, which are applied: {self.tagged_pictures} pictures, "
                f"{self.tagged_labels} label files"
            )
        return "\n".join([*lines, *problem_lines(self.problems, unit="files")]) + "\n"


@dataclass(frozen=True)
class CaptionReport:
    """What is in a dataset of pictures with captions.

    Attributes:
        name: of the dataset.
        pictures: how many there are.
        captions: of all pictures.
        problems: one line for each picture that cannot be used.
    """

    name: str
    pictures: int
    captions: list[str]
    problems: list[str]

    def text(self) -> str:
        """The report for people."""
        lengths = [len(caption.split()) for caption in self.captions]
        lines = [
            f"{self.name}: {self.pictures} pictures, {len(lengths)} captions of {min(lengths)} to "
            f"{max(lengths)} words, {sum(lengths) / len(lengths):.1f} on average"
        ]
        commonest, times = Counter(self.captions).most_common(1)[0]
        if times > 1:
            different = len(set(self.captions))
            lines.append(
                f"  {different} captions are different; the commonest, {times} times: "
                f"{shown(commonest)}"
            )
        return "\n".join([*lines, *problem_lines(self.problems, unit="files")]) + "\n"


def check_dataset(name: str) -> Report | CaptionReport | SegmentReport | ShardReport:
    """Read every picture and label file, or every caption or segment, of a registered dataset.

    Args:
        name: in the DatasetCatalog.

    Raises:
        ValueError: not registered, without classes, or without records.
        FileNotFoundError: as the dataset's own loading function says.
    """
    kind = dataset_kind(name)
    if kind == CAPTIONED:
        return _check_captions(name)
    if kind == SEGMENTED:
        return check_segment_records(name)
    labels = LabelSpec.from_metadata(name)
    records = dataset_records(name)
    pixels, occurs = (np.zeros(len(labels.classes), np.int64) for _ in range(2))
    ignored, problems = 0, []
    tagged: Counter[str] = Counter()
    for record in with_progress(records, len(records), "picture", name):
        try:
            label = _checked_label(record, labels, tagged)
        except (ValueError, OSError) as error:
            problems.append(" ".join(str(error).split()))
            continue
        known = label[label != labels.ignore_label]
        counts = np.bincount(known, minlength=len(labels.classes))
        pixels += counts
        occurs += counts > 0
        ignored += label.size - known.size
    return Report(
        labels=labels,
        pictures=len(records),
        pixels=pixels,
        occurs=occurs,
        ignored=ignored,
        problems=problems,
        tagged_pictures=tagged["picture"],
        tagged_labels=tagged["label"],
    )


def _check_captions(name: str) -> CaptionReport | ShardReport:
    # The loading function would read them once more, and refuse those without a whole sample.
    if shards := MetadataCatalog.get(name).get("caption_shards"):
        try:
            return check_shards(name, find_shards(shards))
        except FileNotFoundError as error:
            raise type(error)(f"dataset {shown(name)}: {error}") from None
    records = dataset_records(name)
    check_captions(name, records)
    problems = []
    for record in with_progress(records, len(records), "picture", name):
        try:
            opened_record(record)
        except (ValueError, OSError) as error:
            problems.append(" ".join(str(error).split()))
    captions = [caption for record in records for caption in record["captions"]]
    return CaptionReport(name, len(records), captions, problems)


def _checked_label(record: dict, labels: LabelSpec, tagged: Counter[str]) -> np.ndarray:
    """Read a pair of files and count their orientation tags."""
    name, label_file = (os.fsdecode(record[key]) for key in ("file_name", "sem_seg_file_name"))
    label, label_tag = read_tagged_label(label_file)
    tagged["label"] += label_tag != UPRIGHT
    labels.check(label, label_file)
    image, tag = read_dataset_picture(name)
    tagged["picture"] += tag != UPRIGHT
    check_pair(Found(name, image.shape[:2], tag), Found(label_file, label.shape, label_tag))
    return label
