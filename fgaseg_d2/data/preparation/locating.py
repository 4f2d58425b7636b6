"""Finds the parts of a download, and says where they seem to be if they are elsewhere."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...io.regular_files import is_litter

# The walk for a hint must end soon, also in a tree of a million files.
_MAX_FOLDERS = 3000
_MAX_DEPTH = 6
# Releases that hold folders of the same names.
_RELEASES = {"voc2010", "voc2012", "adechallengedata2016", "ade20k_2021_17_01"}


class RawDataMissingError(FileNotFoundError):
    """Nothing of a split was downloaded."""


@dataclass(frozen=True)
class Part:
    """A file or folder of a download.

    Attributes:
        what: it is, in words.
        relative: path below the root of the datasets.
        ending: of the files in it, or of itself. A folder elsewhere with the same name and such
            files is taken for it; without an ending the names of two levels must agree.
    """

    what: str
    relative: str
    ending: str = ""


def require(root: Path, parts: Sequence[Part]) -> list[Path]:
    """Find files or folders that belong together.

    Args:
        root: of the datasets.
        parts: what is needed.

    Returns:
        Their paths, in the order of ``parts``.

    Raises:
        RawDataMissingError: none is there.
        FileNotFoundError: some are missing.
    """
    missing = [part for part in parts if not (root / part.relative).exists()]
    if not missing:
        return [root / part.relative for part in parts]
    lines = []
    for part in missing:
        lines.append(
            f"expected {part.what} at {root / part.relative}, found nothing{hint(root, part)}"
        )
    kind = RawDataMissingError if len(missing) == len(parts) else FileNotFoundError
    raise kind("; ".join(lines))


def hint(root: Path, part: Part) -> str:
    """Say where a missing part seems to be and what to do, in brackets; "" if it is nowhere."""
    above = root.absolute().parent
    for other in (above, above.parent):
        if (other / part.relative).exists():
            return f" (but {other / part.relative} is there: give --root {other})"
    near = nearest(root, part)
    if near is None:
        return ""
    levels = len(Path(part.relative).parts)
    inside = near.parts[-levels:] == Path(part.relative).parts
    advice = f"give --root {near.parents[levels - 1]}" if inside else "move or link it there"
    return f" (but {near} looks like it: {advice})"


def nearest(root: Path, part: Part) -> Path | None:
    """The file or folder below the root whose path ends most like the wanted one.

    Args:
        root: of the datasets; need not be there.
        part: what is wanted.

    Returns:
        None if there is none.
    """
    wanted = [name.casefold() for name in Path(part.relative).parts]
    other_releases = _RELEASES.difference(wanted)
    best, best_agreeing = None, 0
    queue, visited = deque([root]), 0
    while queue and visited < _MAX_FOLDERS:
        visited += 1
        for entry in _entries(queue.popleft()):
            path = Path(entry.path)
            names = [name.casefold() for name in path.relative_to(root).parts]
            if other_releases.intersection(names):
                continue
            agreeing = _common_tail(names, wanted)
            if agreeing > best_agreeing and (agreeing > 1 or _shows(path, part.ending)):
                best, best_agreeing = path, agreeing
            if len(names) < _MAX_DEPTH and entry.is_dir():
                queue.append(path)
    return best


def _entries(folder: Path, limit: int | None = None) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in islice(entries, limit) if not is_litter(entry.name)]
    except OSError:  # not there, no folder, or no permission: no hint from here
        return []
    # What preparation made is no raw data.
    return sorted((e for e in visible if "_detectron2" not in e.name), key=lambda e: e.name)


def _shows(path: Path, ending: str) -> bool:
    """Whether this is a file with the ending, or a folder with such files."""
    names = [entry.name for entry in _entries(path, 100)] if path.is_dir() else [path.name]
    return bool(ending) and any(name.endswith(ending) for name in names)


def _common_tail(one: list[str], other: list[str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
