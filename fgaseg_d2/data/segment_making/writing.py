"""Writes files of segments picture by picture; a run that was killed goes on where it was."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ...io.file_errors import writing
from ...io.files import atomic_path, check_replaceable
from ...io.partial_files import open_locked
from ...parallel import each
from .made import Made

_Item = TypeVar("_Item")
_OPEN_STAYS = sys.platform == "win32"  # an open file cannot be removed there


@dataclass
class Written:
    """What is in a file that was written.

    Attributes:
        pictures, segments: how many.
        left_out: segments by why they are not there; nothing is wrong with them.
        problems: what cannot be used, one line each.
        kept: pictures of an earlier run that was killed.
    """

    pictures: int = 0
    segments: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    kept: int = 0


def unfinished_path(file: Path) -> Path:
    """Where the pictures are that are done, until all are."""
    return file.with_name(f".{file.name}.unfinished")


def write_records(
    file: Path,
    items: Sequence[_Item],
    make: Callable[[_Item], Made],
    settings: Mapping[str, Any],
    workers: int = 1,
) -> Written:
    """Make a record of each item and write those that there are.

    Each is on disk as soon as it is made; a run with the same settings takes over what an earlier
    one that was killed has made, and the file itself is there only when it is whole.

    Args:
        file: JSON Lines, replaced where there is a record or more.
        items: picklable.
        make: picklable.
        settings: whatever decides the records, as JSON has it.
        workers: processes.

    Raises:
        WriteError: it cannot be written.
        ValueError: another process is writing it.
    """
    unfinished = unfinished_path(file)
    with writing(unfinished):
        file.parent.mkdir(parents=True, exist_ok=True)
        check_replaceable(file)
        descriptor = open_locked(unfinished, os.O_RDWR | os.O_CREAT)
    if descriptor is None:
        raise ValueError(
            f"expected {file} to be written by this process alone, got another one that writes it; "
            "wait for it, or name another file"
        )
    with os.fdopen(descriptor, "r+b") as stream:
        with writing(unfinished):
            kept = _resumed(stream, dict(settings), len(items))
        for made in each(make, items[kept:], workers, file.name, unit="picture"):
            line = {"record": made.record, "problems": made.problems, "left_out": made.left_out}
            with writing(unfinished):
                stream.write(json.dumps(line).encode() + b"\n")
                stream.flush()
        result = _finished(stream, file)
        # Before the lock goes, so that nobody takes it for an unfinished one.
        if not _OPEN_STAYS:
            _remove(unfinished)
    if _OPEN_STAYS:
        _remove(unfinished)
    result.kept = kept
    return result


def _remove(file: Path) -> None:
    with writing(file, verb="remove"):
        file.unlink(missing_ok=True)


def _resumed(stream: BinaryIO, settings: dict[str, Any], most: int) -> int:
    """Go behind the last whole line of a run with the same settings; returns how many there are."""
    lines = end = 0
    stream.seek(0)
    head = stream.readline()
    if _content(head) == json.loads(json.dumps(settings)):
        end = stream.tell()
        for line in stream:
            if lines == most or _content(line) is None:
                break
            lines, end = lines + 1, end + len(line)
    stream.seek(end)
    stream.truncate()
    if not end:
        stream.write(json.dumps(settings).encode() + b"\n")
        stream.flush()
    return lines


def _content(line: bytes) -> Any:
    """Of a line that was written to its end; None for any other."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _finished(stream: BinaryIO, file: Path) -> Written:
    """Write the records, without what was noted beside them, and count them."""
    result = Written()
    for made in _noted(stream):
        result.problems += made["problems"]
        result.left_out.update(made["left_out"])
        if made["record"] is not None:
            result.pictures += 1
            result.segments += len(made["record"]["segments"])
    if result.pictures:
        with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8") as records:
            for made in _noted(stream):
                if made["record"] is not None:
                    records.write(json.dumps(made["record"]) + "\n")
    return result


def _noted(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """What was made of each item, behind the settings."""
    stream.seek(0)
    stream.readline()
    yield from map(json.loads, stream)
