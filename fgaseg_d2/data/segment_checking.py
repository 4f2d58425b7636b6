"""Reads files of segments as a whole, with their masks and pictures, and names what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from detectron2.data import MetadataCatalog

from ..io.progress import Progress
from ..io.regular_files import home_path
from ..io.segment_files import segment_file, segment_lines
from ..wording import PATH, in_one_line, plain, shown
from .mappers.pictures import opened_record
from .problem_lines import SHOWN, problem_lines
from .records import dataset_records
from .segments import segment_mask, segment_texts, text_weights


@dataclass
class SegmentReport:
    """What is in a file or dataset of segments.

    Attributes:
        name: of the file or dataset.
        unit: what its records stand in, "line" of a file or "record" of a dataset.
        pictures: records, whether they can be used or not.
        segments: of all records that can be read.
        without_texts: segments that are not trained on.
        texts: how often each text occurs.
        problems: one line for each thing that is wrong, with where it is.
    """

    name: str
    unit: str
    pictures: int = 0
    segments: int = 0
    without_texts: int = 0
    texts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def text(self, most: int = SHOWN) -> str:
        """The report for people: what is wrong first, the counts last.

        Args:
            most: problems that are written out; 0 for all.
        """
        lines = problem_lines(self.problems, most or None, unit="problems")
        return "\n".join([*lines, *self._counts()]) + "\n"

    def _counts(self) -> Iterator[str]:
        yield (
            f"{self.name}: {self.pictures} {self.unit}s, {self.segments} segments, "
            f"{self.without_texts} of them without texts, {len(self.texts)} different texts"
        )
        if self.texts:
            commonest = max(self.texts, key=lambda text: self.texts[text])
            yield f"  the commonest text, {self.texts[commonest]} times: {shown(commonest)}"

    def add(self, where: str, record: Any, problems: list[str]) -> None:
        """Count a record, and note what is wrong with it."""
        self.pictures += 1
        self.problems += [f"{where}: {in_one_line(problem)}" for problem in problems]
        segments = record.get("segments") if isinstance(record, Mapping) else None
        for segment in segments if isinstance(segments, (list, tuple)) else ():
            texts = segment.get("texts") if isinstance(segment, Mapping) else None
            self.segments += 1
            self.without_texts += not texts
            for text in texts if isinstance(texts, (list, tuple)) else ():
                words = text.get("t") if isinstance(text, Mapping) else text
                if isinstance(words, str):
                    self.texts[words] = self.texts.get(words, 0) + 1


def check_segment_file(
    file: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    *,
    pictures: bool = True,
    name: str = "",
) -> SegmentReport:
    """Read every line, mask and picture of a file of segments.

    Args:
        file: JSON Lines, one record a picture; see docs/USE.md.
        images: folder that the pictures' paths begin at; None: that of the file.
        pictures: look at the pictures as well.
        name: what the report calls it; "" for the path.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind.
    """
    path = segment_file(file)
    folder = path.parent if images is None else home_path(images)
    report = SegmentReport(name or plain(path, PATH), "line")
    seen: dict[Any, int] = {}
    with Progress(None, "line", path.name) as progress:
        for line, record, problems in segment_lines(path, masks=True):
            if record is not None:
                problems = [*problems, *_twice(record, seen, line)]
                if pictures:
                    problems += _picture_problems(record, folder)
            report.add(f"line {line}", record, problems)
            progress.update()
    if not report.pictures:
        report.problems.append("expected a record in each line, got none")
    return report


def check_segment_records(name: str) -> SegmentReport:
    """Read every mask and picture of a registered dataset of segments, as a training would.

    Args:
        name: in the DatasetCatalog. What `DATASETS.SEGMENTS` registered is checked as its file.

    Raises:
        FileNotFoundError, ValueError: as the dataset's own loading function says.
    """
    metadata = MetadataCatalog.get(name)
    if file := metadata.get("segment_file"):
        return check_segment_file(file, metadata.image_root, name=name)
    report = SegmentReport(name, "record")
    records = dataset_records(name)
    with Progress(len(records), "picture", name) as progress:
        for position, record in enumerate(records):
            report.add(f"record {position}", record, list(_training_problems(record)))
            progress.update()
    return report


def _training_problems(record: Mapping[str, Any]) -> Iterator[str]:
    """What would stop a training at a record of a dataset."""
    try:
        _, _, picture = opened_record(record)
    except (ValueError, OSError) as error:
        yield str(error)
        return
    for number, segment in enumerate(record["segments"]):
        where = f"{plain(picture.name, PATH)}, segment {number}"
        if not isinstance(segment, Mapping):
            yield f"{where}: expected a dict, got {shown(segment)}"
            continue
        try:
            segment_texts(segment, where)
            text_weights(segment, where)
            segment_mask(segment, picture.size, where)
        except ValueError as error:
            yield str(error)


def _twice(record: Mapping[str, Any], seen: dict[Any, int], line: int) -> Iterator[str]:
    """Whether a picture, or its number, stands in another line already."""
    name, number = record.get("file_name"), record.get("image_id")
    keys: list[tuple[str, object, str]] = []
    if isinstance(name, str):
        keys.append(("file_name", PurePath(os.path.normpath(name)), shown(name, PATH)))
    if isinstance(number, (int, str)):
        keys.append(("image_id", number, shown(number)))
    for key, value, text in keys:
        first = seen.setdefault((key, value), line)
        if first != line:
            yield f'expected one record of a picture, got "{key}" {text} as in line {first}'


def _picture_problems(record: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """What is wrong with the picture of a record: missing, damaged, or of another size."""
    name = record.get("file_name")
    if not isinstance(name, str) or not name.strip():
        return
    path = name if "://" in name else str(folder / name)
    sides = {key: record[key] for key in ("height", "width") if type(record.get(key)) is int}
    try:
        opened_record({"file_name": path} | sides)
    except (ValueError, OSError) as error:
        yield str(error)
