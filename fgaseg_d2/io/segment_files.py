"""Files of segments: JSON Lines, one record a picture, as docs/USE.md describes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..wording import few, shown
from .coco_masks import decoded_mask, mask_box
from .file_errors import reading
from .json_files import parse_json
from .regular_files import home_path, require_file

LEVELS = ("object", "part")
_SHOWN = 3  # bad lines in a message
_SLACK = 1.0  # pixels by which a box may differ, as some count its last pixel and some do not


def read_segment_file(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read a file of segments; its masks are looked at when they are decoded.

    Returns:
        Its records, in their order, with "file_name", "height", "width" and "segments".

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no such record, or none at all.
    """
    file = require_file(home_path(path), "a file of segments (JSON Lines)")
    records, problems = [], []
    for line, record, wrong in segment_lines(file):
        problems += [f"line {line}: {problem}" for problem in wrong]
        if record is not None:
            records.append(record)
    if problems:
        raise ValueError(
            f"{file}: expected records of segments, got {len(problems)} problems: "
            f"{few(problems, _SHOWN)}; correct or remove these lines"
        )
    if not records:
        raise ValueError(f"{file}: expected a record of segments in each line, got none")
    return records


def segment_lines(
    path: Path, masks: bool = False
) -> Iterator[tuple[int, dict[str, Any] | None, list[str]]]:
    """Look at a file of segments line by line.

    Args:
        path: of the file.
        masks: also decode every mask, and compare it with what is said of it.

    Yields:
        The number of a line from 1, its record (None where it is none), and what is wrong with it.
    """
    with reading(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = parse_json(line)
            except ValueError as error:
                yield number, None, [f"expected a JSON object, got an error ({error})"]
                continue
            problems = list(record_problems(record, masks))
            yield number, None if problems else record, problems


def record_problems(record: Any, masks: bool = False) -> Iterator[str]:
    """What is wrong with a record; see :func:`segment_lines`."""
    if not isinstance(record, Mapping):
        yield f"expected a JSON object, got {shown(record)}"
        return
    name, size = record.get("file_name"), (record.get("height"), record.get("width"))
    if not isinstance(name, str) or not name.strip():
        yield f'expected "file_name" as a path, got {shown(name)}'
    whole = all(type(side) is int and side > 0 for side in size)
    if not whole:
        yield f'expected "height" and "width" in pixels, got {shown(size)}'
    segments = record.get("segments")
    if not isinstance(segments, list):
        yield f'expected "segments" as a list, got {shown(segments)}'
        return
    for number, segment in enumerate(segments):
        where = f"segment {number}"
        if not isinstance(segment, Mapping):
            yield f"{where}: expected a JSON object, got {shown(segment)}"
            continue
        yield from (f"{where}: {problem}" for problem in _said(segment))
        if masks and whole:
            yield from _drawn(segment, size, where)


def _said(segment: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with what a segment says beside its mask."""
    rle = segment.get("rle")
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        yield f'expected "rle" with "size" and "counts", got {shown(rle)}'
    score = segment.get("score", 1.0)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        yield f'expected "score" in 0..1, got {shown(score)}'
    if segment.get("level", LEVELS[0]) not in LEVELS:
        yield f'expected "level" {" or ".join(LEVELS)}, got {shown(segment["level"])}'
    texts = segment.get("texts", [])
    if not isinstance(texts, list):
        yield f'expected "texts" as a list, got {shown(texts)}'
        return
    for text in texts:
        words = text.get("t") if isinstance(text, Mapping) else text
        if not isinstance(words, str) or not words.strip():
            yield f'expected a text, or one as "t", got {shown(text)}'


def _drawn(segment: Mapping[str, Any], size: Any, where: str) -> Iterator[str]:
    """What is wrong with a mask, by itself and beside what is said of it."""
    try:
        mask = decoded_mask(segment.get("rle"), size, where)
    except ValueError as error:
        yield str(error)
        return
    area, box = int(mask.sum()), mask_box(mask)
    if not area:
        yield f"{where}: expected a mask with a pixel or more, got an empty one"
    if segment.get("area", area) != area:
        yield f'{where}: expected "area" {area} as its mask has, got {shown(segment["area"])}'
    found = segment.get("bbox", box)
    try:
        same = np.abs(np.array(found, float) - box).max() <= _SLACK
    except (TypeError, ValueError):
        same = False
    if not same:
        yield f'{where}: expected "bbox" {box} as its mask has, got {shown(found)}'
