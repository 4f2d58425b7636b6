"""Writes prepared files, tells whole ones from others, and lists what else lies beside them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ...io.file_errors import reading, writing
from ...io.files import atomic_path
from ...io.partial_files import PARTIAL
from ...io.regular_files import is_litter

_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_BEGIN, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Written by the programs of other authors into the same folders.
_FOREIGN = (".tif", ".tiff")
_THEN = "run the same command again to continue"


def write(path: Path, array: np.ndarray) -> None:
    """Write a prepared file so that it is there whole or not at all.

    Args:
        path: .png, H x W of uint8 or uint16; or .jpg, H x W or H x W x 3 of uint8, in Pillow's
            usual quality.

    Raises:
        WriteError: it cannot be written.
    """
    with atomic_path(path, then=_THEN) as temporary:
        Image.fromarray(array).save(temporary)


def is_whole(path: Path, bits: int) -> bool:
    """Whether a file of this kind is there from its first to its last bytes.

    Args:
        path: .png, which must be grey, or .jpg.
        bits: of a PNG's pixels.

    Raises:
        ReadError: it cannot be told.
    """
    begin, end = (_PNG_BEGIN, _PNG_END) if path.suffix == ".png" else (_JPEG_BEGIN, _JPEG_END)
    try:
        with reading(path, "prepared file"), path.open("rb") as stream:
            head = stream.read(26)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - len(end)))
            if not head.startswith(begin) or stream.read() != end:
                return False
    except FileNotFoundError:
        return False
    return path.suffix != ".png" or head[24:26] == bytes([bits, 0])


def leftovers(folders: Iterable[Path]) -> list[Path]:
    """Files that an interrupted run was writing."""
    return sorted(path for folder in folders for path in folder.glob(f"{PARTIAL}*"))


def strangers(expected: Iterable[Path], folders: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files beside the expected ones.

    Args:
        expected: products of all samples.
        folders: to look into.

    Returns:
        Those that do not belong there; and those of other programs, which nothing here reads.
    """
    known = {str(path) for path in expected}
    others: list[Path] = []
    foreign: list[Path] = []
    for folder in folders:
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        for path in (folder / name for name in names if not is_litter(name)):
            if str(path) not in known:
                (foreign if path.suffix in _FOREIGN else others).append(path)
    return others, foreign


@contextlib.contextmanager
def only_run(folders: Iterable[Path], tell: Callable[[str], object]) -> Iterator[None]:
    """Make the folders, and let a second run that writes there wait for the end of the first.

    Args:
        folders: to write into.
        tell: takes a line if it has to wait.

    Raises:
        WriteError: a folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        for folder in folders:
            with writing(folder, "another --root", _THEN, verb="make"):
                folder.mkdir(parents=True, exist_ok=True)
            with writing(folder, "another --root", _THEN):
                stack.enter_context(_locked(folder, tell))
        yield


@contextlib.contextmanager
def _locked(folder: Path, tell: Callable[[str], object]) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for another run that prepares {folder}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass  # some network disks cannot lock; there the user must see to it
        yield
    finally:
        os.close(descriptor)
