"""A dataset of one's own with segments: a file of JSON Lines, one record a picture."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...io.regular_files import home_path
from ...io.segment_files import read_segment_file
from ...vocabulary.dataset_words import OWN_KEY, SEGMENTED
from ...wording import shown
from .catalog import checked_name, replace_dataset
from .pictures import picture_path, require_pictures


@dataclass(frozen=True)
class _SegmentLoader:
    """Reads the file when the dataset is first needed."""

    name: str
    file: Path
    images: Path

    def __call__(self) -> list[dict]:
        try:
            return load_segments(self.file, self.images)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"dataset {shown(self.name)}: {error}") from None


def register_segments(
    name: str, file: str | os.PathLike[str], images: str | os.PathLike[str] | None = None
) -> None:
    """Register pictures with segments as a dataset to train on; replaces an earlier call.

    The file is read, and every picture looked for, when the dataset is first used.

    Args:
        name: for DATASETS.TRAIN.
        file: JSON Lines, one record a picture; see docs/USE.md.
        images: folder that the pictures' paths begin at; None: that of the file. ``~`` is the home
            folder.

    Raises:
        ValueError: the name of a dataset that something else registered, or no path.
    """
    name = checked_name(name, _SegmentLoader)
    path = _path(file, "the path of a file of segments")
    folder = path.parent if images is None else _path(images, "the path of a folder for images")
    replace_dataset(
        name,
        _SegmentLoader(name, path, folder),
        evaluator_type="segments",
        image_root=str(folder),
        segment_file=str(path),
        **{OWN_KEY: {"kind": SEGMENTED}},
    )


def load_segments(file: Path, images: Path) -> list[dict[str, Any]]:
    """Read a file of segments, and see that every picture is there.

    Args:
        file: see :func:`register_segments`.
        images: folder that the pictures' paths begin at.

    Returns:
        Dataset records with ``file_name``, ``height``, ``width`` and ``segments``; pictures without
        a segment that has a text are left out.

    Raises:
        FileNotFoundError: no such file, or a picture is missing.
        ValueError: the file is no such file.
    """
    records = []
    for record in read_segment_file(file):
        segments = [segment for segment in record["segments"] if segment.get("texts")]
        path = picture_path(record["file_name"], images)
        if segments:
            records.append(record | {"file_name": path, "segments": segments})
    require_pictures(file, dict.fromkeys((record["file_name"] for record in records), ""))
    return records


def _path(path: Any, what: str) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise ValueError(f"expected {what}, got {shown(path)}")
    return home_path(path)
