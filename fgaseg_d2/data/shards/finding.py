"""Which tar files are meant: a folder, a pattern with braces, a file, a list of files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ...io.extras import import_extra
from ...io.file_errors import reading
from ...io.regular_files import home_path, is_file, is_litter, kind_of_file
from ...wording import PATH, few, plain, shown

EXTRA = "mgca"
Shards: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
_SUFFIX = ".tar"
_LIST_SUFFIXES = (".txt", ".lst", ".list")
_EXPECTED = (
    "a folder of .tar files, a pattern such as cc3m/{00000..00331}.tar, or a text file with a path "
    "a line"
)


def find_shards(shards: Shards) -> list[Path]:
    """List tar files.

    Args:
        shards: a folder, whose .tar files are taken in the order of their names, hidden ones
            left out; a path with braces as webdataset has them, or with * and ?; a .tar file; a
            text file with any of these a line, relative to its folder; or a list of these. ``~`` is
            the home folder.

    Returns:
        At least one, each once.

    Raises:
        FileNotFoundError: nothing is there, or one that is named is not.
        ValueError: no path, or an address.
        ImportError: webdataset is not installed.
    """
    found: dict[Path, None] = {}
    for one in checked_shards(shards):
        found.update(dict.fromkeys(_found(os.fspath(home_path(one)))))
    missing = [path for path in found if not is_file(path)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(found)} shards do not exist: "
            f"{few((plain(path, PATH) for path in missing), 3)}; check the pattern and the folder"
        )
    return list(found)


def checked_shards(shards: Any) -> list[str]:
    """The paths and patterns that somebody wrote.

    Raises:
        ValueError: they are none.
    """
    parts = list(shards) if isinstance(shards, (list, tuple)) else [shards]
    for part in parts:
        if not isinstance(part, (str, os.PathLike)) or not os.fspath(part):
            raise ValueError(f"expected shards as {_EXPECTED}, got {shown(part)}")
        if "://" in (text := os.fspath(part)) or text.startswith("pipe:"):
            raise ValueError(
                f"expected shards on a disk, got the address {shown(text, PATH)}; copy them first, "
                "for samples are read in any order"
            )
    if not parts:
        raise ValueError(f"expected shards as {_EXPECTED}, got an empty list")
    return [os.fspath(part) for part in parts]


def _found(text: str) -> Iterator[Path]:
    kind = kind_of_file(text)
    if kind == "a folder":
        yield from _in_folder(Path(text))
    elif kind == "a file":
        path = Path(text)
        yield from _in_list(path) if path.suffix.lower() in _LIST_SUFFIXES else [path]
    else:
        for path in _expanded(text):
            yield from _in_folder(path) if path.is_dir() else [path]


def _in_folder(folder: Path) -> list[Path]:
    with reading(folder):
        names = sorted(name for name in os.listdir(folder) if not is_litter(name))
    found = [folder / name for name in names if name.lower().endswith(_SUFFIX)]
    if not found:
        raise FileNotFoundError(
            f"expected {_SUFFIX} files in {shown(folder)}, got none; check the folder"
        )
    return found


def _in_list(file: Path) -> Iterator[Path]:
    try:
        with reading(file):
            lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: expected a path a line in UTF-8, got other bytes at {error.start}; name "
            f"shards as {_EXPECTED}"
        ) from None
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise ValueError(f"{file}: expected the path of a shard a line, got none")
    for name in checked_shards(names):
        path = os.path.join(file.parent, home_path(name))
        # A list that names lists could name itself.
        if Path(path).suffix.lower() in _LIST_SUFFIXES:
            raise ValueError(f"{file}: expected the path of a shard a line, got {shown(name)}")
        yield from _found(path)


def _expanded(text: str) -> list[Path]:
    """Paths of a pattern; braces and ${WDS_...} are what webdataset makes of them."""
    shardlists = import_extra("webdataset.shardlists", EXTRA)
    try:
        names = shardlists.expand_urls(text)
    # It asserts that the variables of the environment are there.
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"expected shards as {_EXPECTED}, got {shown(text, PATH)} ({error})"
        ) from None
    paths: list[Path] = []
    for name in names:
        if not glob.has_magic(name) or is_file(name):
            paths.append(Path(name))
            continue
        matches = sorted(glob.glob(name))
        if not matches:
            raise FileNotFoundError(
                f"expected shards that match {shown(name, PATH)}, got none; check the path"
            )
        paths.extend(map(Path, matches))
    return paths
