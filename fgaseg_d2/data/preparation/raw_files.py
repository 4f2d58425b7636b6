"""Lists and reads downloaded files; what is wrong with one becomes a line that names it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ...io.files import pillow_errors
from ...io.orientation import load_upright, read_tag, swaps_sides
from ...io.regular_files import is_litter, kind_of_file
from ..pair_sizes import Found, check_pair

_ADVICE = "unpack or download it anew"
_STEM = re.compile(r"[\w-]+")


@dataclass
class Folder:
    """What lies in a folder.

    Attributes:
        found: files with the ending, by stem, sorted.
        strangers: everything else but hidden files, sorted.
    """

    found: dict[str, Path] = field(default_factory=dict)
    strangers: list[Path] = field(default_factory=list)


def files_in(folder: Path, ending: str) -> Folder:
    """List a folder that may be missing.

    Args:
        folder: not searched in depth.
        ending: such as ".png".
    """
    result = Folder()
    if folder.is_dir():
        for name in sorted(os.listdir(folder)):
            if is_litter(name):
                continue
            if name.endswith(ending):
                result.found[name.removesuffix(ending)] = folder / name
            else:
                result.strangers.append(folder / name)
    return result


def read_ids(path: Path) -> tuple[list[str], list[str]]:
    """Read a list of picture ids, one a line; with or without a line break at the end.

    Args:
        path: text; what follows an id on its line is not read.

    Returns:
        The ids in their order, and what is wrong with others.

    Raises:
        FileNotFoundError, ValueError: no such file, or no list.
    """
    check_not_empty(path, "list of ids")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a list of ids, got other bytes; {_ADVICE}") from error
    problems = []
    ids: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        for name in line.split()[:1]:
            if not _STEM.fullmatch(name):
                problems.append(f"{path}: line {number}: expected an id, got {name!r}")
            elif name in ids:
                problems.append(f"{path}: line {number}: {name} is listed twice; remove one")
            ids[name] = None
    if not ids:
        raise ValueError(f"{path}: expected a list of ids, got an empty file; {_ADVICE}")
    return [name for name in ids if _STEM.fullmatch(name)], problems


def read_png(path: Path, modes: tuple[str, ...], what: str) -> np.ndarray:
    """Read a label without any conversion of its values.

    Args:
        path: a PNG.
        modes: of Pillow, those that this encoding may have.
        what: the expected encoding in words.

    Returns:
        H x W or H x W x 3, uint8 or, where a mode says so, wider; upright.

    Raises:
        FileNotFoundError, ValueError: no such file, a damaged one, or of another mode.
    """
    check_not_empty(path, "label file")
    with pillow_errors("label file", path, _ADVICE), Image.open(path) as image:
        image.verify()  # decoding does not look at the checksums of the pixels
    with pillow_errors("label file", path, _ADVICE), Image.open(path) as image:
        kind, mode = image.format, image.mode
        array, _ = load_upright(image)
    if kind != "PNG":
        raise ValueError(
            f"{path}: expected a PNG, got {kind}, which may have changed the labels; {_ADVICE}"
        )
    if mode not in modes:
        raise ValueError(
            f"{path}: expected {what} (Pillow's mode {' or '.join(modes)}), got mode {mode}; take "
            "the file as it was downloaded, not converted or saved by another program"
        )
    return array


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of a whole picture as it is stored.

    Raises:
        FileNotFoundError, ValueError: no such file, or a damaged one.
    """
    return tagged_picture_size(path)[0]


def tagged_picture_size(path: Path) -> tuple[tuple[int, int], int]:
    """Height and width of a whole picture as it is stored, and its orientation (1: none).

    Raises:
        FileNotFoundError, ValueError: no such file, or a damaged one.
    """
    check_not_empty(path, "picture")
    with pillow_errors("picture", path, _ADVICE), Image.open(path) as image:
        width, height = image.size
        # Decoding a JPEG at an eighth of its size finds a cut one too, in a third of the time.
        image.draft("L", (1, 1))
        image.load()
        tag = read_tag(image)
    return (height, width), tag


def check_orientation(path: Path, label: Path, shape: tuple[int, int], tag: int) -> None:
    """Find what readers of a picture and its label would refuse because of an orientation tag.

    Args:
        path: of the picture.
        label: its label file, which has no tag.
        shape: height and width of the label, those of the picture as it is stored.
        tag: of the picture, 1 for none.

    Raises:
        ValueError: the label does not fit the picture when that is upright.
    """
    height, width = shape
    upright = (width, height) if swaps_sides(tag) else (height, width)
    check_pair(Found(str(path), upright, tag), Found(str(label), (height, width)))


def check_not_empty(path: Path, what: str) -> None:
    """Raise a FileNotFoundError or ValueError if there is no such file, or nothing in it."""
    found = kind_of_file(path)
    if found != "a file":
        raise FileNotFoundError(f"{path}: expected a {what}, found {found}; {_ADVICE}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected a {what}, got an empty file; {_ADVICE}")
