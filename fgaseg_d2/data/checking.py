"""Reads a whole dataset, to find before the training what would stop it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from detectron2.utils.file_io import PathManager
from tqdm import tqdm

from fgaseg_d2.data.labels import LabelSpec, dataset_records, read_label
from fgaseg_d2.files import read_image

_SHOWN = 20  # problems in a report


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
    """

    labels: LabelSpec
    pictures: int
    pixels: np.ndarray
    occurs: np.ndarray
    ignored: int
    problems: list[str]

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
        missing = int((self.occurs == 0).sum())
        if missing:
            lines.append(f"  {missing} classes occur in no picture")
        lines += [f"  error: {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"  error: {len(self.problems) - _SHOWN} more files")
        return "\n".join(lines) + "\n"


def check_dataset(name: str) -> Report:
    """Read every picture and label file of a registered dataset.

    Args:
        name: in the DatasetCatalog.

    Raises:
        ValueError: not registered, without classes, or without records.
        FileNotFoundError: as the dataset's own loading function says.
    """
    labels = LabelSpec.from_metadata(name)
    records = dataset_records(name)
    pixels, occurs = (np.zeros(len(labels.classes), np.int64) for _ in range(2))
    ignored, problems = 0, []
    for record in tqdm(records, desc=name, unit="picture", disable=None):
        try:
            label = _checked_label(record, labels)
        except (ValueError, FileNotFoundError) as error:
            problems.append(" ".join(str(error).split()))
            continue
        known = label[label != labels.ignore_label]
        counts = np.bincount(known, minlength=len(labels.classes))
        pixels += counts
        occurs += counts > 0
        ignored += label.size - known.size
    return Report(labels, len(records), pixels, occurs, ignored, problems)


def _checked_label(record: dict, labels: LabelSpec) -> np.ndarray:
    label = read_label(record["sem_seg_file_name"])
    labels.check(label, record["sem_seg_file_name"])
    size = read_image(PathManager.get_local_path(record["file_name"])).shape[:2]
    if size != label.shape:
        raise ValueError(
            f"picture {record['file_name']} has {size[0]} x {size[1]} pixels (height x width), but "
            f"its label file {label.shape[0]} x {label.shape[1]}; both must be equal"
        )
    return label
