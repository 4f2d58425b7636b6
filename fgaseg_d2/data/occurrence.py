"""Says of counted labels which classes are nowhere, alike in checks, training and evaluation."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from .labels import LabelSpec, read_label

logger = logging.getLogger(__name__)

_SHOWN = 5  # names in a message
_LOOKED_AT = 50 * 2**20  # pixels of labels that are read before a training: about a second


def missing_classes(labels: LabelSpec, pixels: Sequence[int], ignored: int) -> str:
    """Say which classes no label shows; "" where all occur.

    Args:
        labels: of the dataset.
        pixels: of each class, K.
        ignored: pixels with the ignore label.
    """
    names = labels.classes
    missing = [index for index, count in enumerate(pixels) if not count]
    if not missing:
        return ""
    text = nowhere([names[index] for index in missing])
    if ignored and len(missing) >= len(names) - 1 > 0:
        found = [f"{index} ({names[index]})" for index, count in enumerate(pixels) if count]
        text += (
            f"; the label files hold only {' and '.join([*found, str(labels.ignore_label)])}, and "
            f"{labels.ignore_label} is the ignore label: if a class was meant by it, as in masks "
            "of 0 and 255, save the label files with its number instead"
        )
    return text


def nowhere(names: Sequence[str]) -> str:
    """A clause for classes that no label shows, at least one."""
    shown = ", ".join(map(repr, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    classes = "1 class occurs" if len(names) == 1 else f"{len(names)} classes occur"
    return f"{classes} in no picture: {shown}{more}"


def warn_of_missing_classes(labels: LabelSpec, records: Sequence[dict]) -> None:
    """Look at the label files of a dataset before it is trained on.

    A small dataset is read whole, and every class that is nowhere is told. Of a large one label
    files from all over are read; told is only that they hold one class at most.

    Args:
        labels: of the dataset.
        records: all of it, at least one.

    Raises:
        FileNotFoundError, ValueError: a label file is missing, damaged, or holds other values.
    """
    first = read_label(records[0]["sem_seg_file_name"])
    count = min(len(records), max(1, _LOOKED_AT // max(1, first.size)))
    pixels, ignored = np.zeros(len(labels.classes), np.int64), 0
    for position in np.linspace(0, len(records) - 1, count).round().astype(int):
        file_name = records[position]["sem_seg_file_name"]
        label = read_label(file_name)
        labels.check(label, file_name)
        known = label[label != labels.ignore_label]
        pixels += np.bincount(known, minlength=len(pixels))
        ignored += label.size - known.size
    missing = missing_classes(labels, pixels.tolist(), ignored)
    if missing and (count == len(records) or np.count_nonzero(pixels) <= 1):
        seen = f", of which {count} were looked at" if count < len(records) else ""
        logger.warning(
            "%s: %d label files to train on%s: %s", labels.dataset_name, len(records), seen, missing
        )
