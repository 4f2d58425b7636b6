"""Files of segments: JSON Lines, one record a picture, as docs/USE.md describes them."""

from __future__ import annotations

import codecs
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..wording import few, shown
from .coco_masks import decoded_mask, encoded_mask, mask_box
from .file_errors import reading
from .json_files import parse_json
from .regular_files import home_path, require_file

LEVELS = ("object", "part")
MOST_WEIGHT = 10**6  # of a text, so that the sum of many is still a number
WEIGHTS = f"above 0, at most {MOST_WEIGHT}"
_SHOWN = 3  # bad lines in a message
_MOST_PIXELS = 178_956_970  # beyond it Pillow opens no picture, and a wrong number fills memory
_HEAD = 2**16  # bytes that tell what a file is
# What people give instead: how it begins, what it is, and what to do.
_OTHER_KINDS = (
    (rb"\x1f\x8b", "a gzip file", "unpack it (gunzip) and name what comes out"),
    (rb"PK\x03\x04", "a ZIP file", "unpack it and name what comes out"),
    (rb"\xff\xfe|\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (rb".{0,4095}\x00", "a binary file", "name a text file"),
    (rb"\s*\[", "a JSON array", "write each record of it in a line of its own (jq -c '.[]')"),
    (
        # Its lists may stand behind a description of it.
        rb"\s*\{(\s*\"(info|categories|licenses)\"\s*:.*?,)?\s*\"(images|annotations)\"\s*:\s*\[",
        "a COCO file",
        "turn it into one with tools/make_segments.py --coco",
    ),
    (rb"\s*\{\s*\n", "JSON over several lines", "write each record in a line of its own (jq -c .)"),
)
_SLACK = 1.0  # pixels by which a box may differ, as some count its last pixel and some do not


def described_segment(
    mask: np.ndarray, texts: Iterable[str], source: str, level: str = LEVELS[0]
) -> dict[str, Any]:
    """A segment as such a file has it, with the highest score.

    Args:
        mask: H x W, bool.
        texts: of it; of equal ones the first counts.
        source: of the texts, such as a dataset's name.
        level: "object" or "part".
    """
    return {
        "rle": encoded_mask(mask),
        "bbox": mask_box(mask),
        "area": int(np.count_nonzero(mask)),
        "score": 1.0,
        "level": level,
        "texts": [{"t": text, "source": source} for text in dict.fromkeys(texts)],
    }


def read_segment_file(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read a file of segments; its masks are looked at when they are decoded.

    Returns:
        Its records, in their order, with "file_name", "height", "width" and "segments".

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no such record, or none at all.
    """
    file = segment_file(path)
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


def segment_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file of segments, whose beginning is looked at.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind, as a whole; the message says which.
    """
    file = require_file(home_path(path), "a file of segments (JSON Lines)")
    with reading(file), file.open("rb") as stream:
        start = stream.read(_HEAD).removeprefix(codecs.BOM_UTF8)
    for begins, what, advice in _OTHER_KINDS:
        if re.match(begins, start, re.DOTALL):
            raise ValueError(
                f"{file}: expected JSON Lines, one record a picture, got {what}; {advice}"
            )
    return file


def segment_lines(
    path: Path, masks: bool = False
) -> Iterator[tuple[int, dict[str, Any] | None, list[str]]]:
    """Look at a file of segments line by line.

    Args:
        path: of the file.
        masks: also decode every mask, and compare it with what is said of it.

    Yields:
        The number of a line from 1, its record (None where it is no JSON object), and what is wrong
        with it.
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
            yield number, record if isinstance(record, dict) else None, problems


def record_problems(record: Any, masks: bool = False) -> Iterator[str]:
    """What is wrong with a record; see :func:`segment_lines`."""
    if not isinstance(record, Mapping):
        yield f"expected a JSON object, got {shown(record)}"
        return
    name, size = record.get("file_name"), (record.get("height"), record.get("width"))
    if not isinstance(name, str) or not name.strip():
        yield f'expected "file_name" as a path, got {shown(name)}'
    whole = _is_size(size)
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
        if masks and whole and _has_runs(segment):
            yield from _drawn(segment, size, where)


def _has_runs(segment: Mapping[str, Any]) -> bool:
    rle = segment.get("rle")
    return isinstance(rle, Mapping) and {"size", "counts"} <= rle.keys()


def is_weight(value: Any) -> bool:
    """Whether a text may have it as its "weight": a number above 0 and at most `MOST_WEIGHT`."""
    return is_number(value) and 0 < value <= MOST_WEIGHT


def _said(segment: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with what a segment says beside its mask."""
    if not _has_runs(segment):
        yield f'expected "rle" with "size" and "counts", got {shown(segment.get("rle"))}'
    if not _is_share(segment.get("score", 1.0)):
        yield f'expected "score" in 0..1, got {shown(segment["score"])}'
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
        elif isinstance(text, Mapping) and not _is_share(text.get("score", 1.0)):
            yield f'expected "score" of a text in 0..1, got {shown(text["score"])}'
        weight = text.get("weight", 1) if isinstance(text, Mapping) else 1
        if not is_weight(weight):
            yield f'expected "weight" of a text {WEIGHTS}, got {shown(weight)}'


def _drawn(segment: Mapping[str, Any], size: Any, where: str) -> Iterator[str]:
    """What is wrong with a mask, by itself and beside what is said of it."""
    try:
        mask = decoded_mask(segment["rle"], size, where)
    except ValueError as error:
        yield str(error)
        return
    area, box = int(mask.sum()), mask_box(mask)
    if not area:
        yield f"{where}: expected a mask with a pixel or more, got an empty one"
    if segment.get("area", area) != area:
        yield f'{where}: expected "area" {area} as its mask has, got {shown(segment["area"])}'
    found = segment.get("bbox", box)
    four = isinstance(found, list) and len(found) == 4 and all(map(is_number, found))
    if not four or not all(abs(a - b) <= _SLACK for a, b in zip(found, box, strict=True)):
        yield f'{where}: expected "bbox" {box} as its mask has, got {shown(found)}'


def _is_size(size: tuple[Any, ...]) -> bool:
    whole = all(type(side) is int and side > 0 for side in size)
    return whole and math.prod(size) <= _MOST_PIXELS


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number; nan and infinity are, and whole ones of any length."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1
