"""Reads pictures of every kind as RGB, and writes results so that no half-written file stays."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..wording import PATH, in_one_line, plain, shown, warn_once
from .file_errors import ReadError, WriteError, reading, write_error, writing
from .heif import MissingHeifError, open_heif
from .orientation import UPRIGHT, load_upright
from .partial_files import partial_file, remove_leftovers, remove_leftovers_once
from .picture_arrays import array_of, is_tensor, narrowed, rgb_array
from .regular_files import home_path, require_file

logger = logging.getLogger(__name__)

_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")


def read_image(image: Any) -> np.ndarray:
    """Turn a picture into RGB.

    Grey becomes RGB, 16 bits become 8, and what is transparent is laid on white. The orientation
    that a camera noted (EXIF) is applied, to a file as to a PIL image that still has it.

    Args:
        image: a file's path; the content of one, as bytes or as a file that is open for reading; a
            PIL image; an array H x W, H x W x 1, 3 (RGB) or 4 (RGBA) of uint8 or uint16; or a
            tensor, 3 x H x W or as an array.

    Returns:
        H x W x 3, uint8, RGB; of its own, to draw on.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, a damaged one, or an array of another kind.
    """
    return read_picture(image)[0]


def read_picture(image: Any) -> tuple[np.ndarray, int]:
    """Read a picture as :func:`read_image` does, with the orientation that it had (1: none)."""
    if is_tensor(image):
        image = array_of(image)
    if isinstance(image, np.ndarray):
        return rgb_array(image), UPRIGHT
    if isinstance(image, Image.Image):
        with pillow_errors("picture", getattr(image, "filename", "") or "a PIL image"):
            _tell_frames(image)
            return load_upright(image, _read_pil)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _decoded(io.BytesIO(image), f"{len(image):,} bytes")
    if is_open_file(image):
        name = str(getattr(image, "name", "an open file"))
        # Of text nothing can be read before it is known to be text.
        if isinstance(getattr(image, "file", image), io.TextIOBase):
            raise ValueError(
                f"expected a file that is open for bytes, got {shown(name, PATH)} open for text; "
                "open it with 'rb'"
            )
        # A pipe cannot be gone back in.
        return _decoded(io.BytesIO(image.read()), name)
    if not isinstance(image, (str, os.PathLike)):
        raise ValueError(
            "expected a path, the bytes of a file, a PIL image or a NumPy array H x W x 3 (RGB, "
            f"uint8), got {type(image).__name__}; convert it to one of these"
        )
    if isinstance(image, str) and re.match(r"https?://", image, re.IGNORECASE):
        raise ValueError(
            f"expected the path of a picture, got the address {shown(image, PATH)}; fetch it "
            "first: curl -O ADDRESS"
        )
    path = require_file(home_path(image), "a picture")
    return _decoded(path, path)


def is_open_file(image: Any) -> bool:
    """Whether this is a file that is open for reading, of whatever kind (`tempfile` wraps its)."""
    return callable(getattr(image, "read", None)) and getattr(image, "readable", lambda: True)()


def _decoded(file: Any, name: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read an encoded picture, and its orientation."""
    with pillow_errors("picture", name):
        open_heif(file)
        with Image.open(file) as opened:
            _tell_frames(opened)
            return load_upright(opened, _read_pil)


@contextlib.contextmanager
def pillow_errors(
    what: str, path: str | os.PathLike[str], advice: str = "save it anew as PNG"
) -> Iterator[None]:
    """Turn what Pillow raises in the block at a bad file into a ValueError of one line.

    A FileNotFoundError passes, because only the caller knows where the file should be, and a file
    that cannot be read is a ReadError, because nobody knows whether it is bad.

    Args:
        what: what the file should be, such as "picture".
        path: the file, which the message names.
        advice: what to do.
    """
    try:
        with reading(path, what):
            yield
    except (FileNotFoundError, ReadError, MissingHeifError):
        raise
    except UnidentifiedImageError as error:
        raise ValueError(
            f"expected a {what} that Pillow reads, got {shown(path, PATH)}; {advice}"
        ) from error
    except MemoryError:
        raise
    # Damaged bytes make Pillow raise nearly anything.
    except Exception as error:
        reason = in_one_line(str(error), 160) or type(error).__name__
        raise ValueError(
            f"expected a whole {what} in {shown(path, PATH)}, got an error ({reason}); {advice}"
        ) from error


def _read_pil(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        return rgb_array(narrowed(np.asarray(image)))
    if image.mode == "La":
        image = image.convert("LA")
    transparent = image.mode in _TRANSPARENT_MODES or "transparency" in image.info
    try:
        image = image.convert("RGBA" if transparent else "RGB")
    except ValueError as error:
        raise ValueError(
            "expected a picture of a kind that Pillow turns into RGB, got mode "
            f"{shown(image.mode)}; "
            "convert it to RGB"
        ) from error
    return rgb_array(np.asarray(image))


def _tell_frames(image: Image.Image) -> None:
    """Say once of each file if more is in it than its first picture."""
    frames = getattr(image, "n_frames", 1)
    # Telephones put previews and depths behind the picture, in this format.
    if frames > 1 and image.tell() == 0 and image.format != "MPO":
        name = getattr(image, "filename", "") or "a picture"
        what = "pages" if image.format == "TIFF" else "frames"
        message = (
            f"{name} has {frames} {what}, of which only the first is looked at; for the others "
            "convert it to a video, or to a picture each"
        )
        warn_once(logger, message)


_ROOM = 2**16  # bytes that must fit into a folder of results


@contextlib.contextmanager
def atomic_path(
    path: str | os.PathLike[str], elsewhere: str = "another folder", then: str = ""
) -> Iterator[Path]:
    """Give a temporary path in the same folder, which becomes ``path`` if the block succeeds.

    The folder is made if it is not there, and what a killed run left half-written in it goes. The
    temporary path keeps the ending, from which writers choose a format.

    Args:
        path: a file, which is replaced, or nothing yet.
        elsewhere: where else it could go, for the message, such as "another OUTPUT_DIR"; "" for
            nowhere.
        then: what to do after that, for the message.

    Raises:
        WriteError: it cannot be written; the old file is as it was.
    """
    path = Path(path)
    with writing(path, elsewhere, then):
        path.parent.mkdir(parents=True, exist_ok=True)
        check_replaceable(path, elsewhere)
        remove_leftovers_once(path.parent)
        with partial_file(path) as temporary:
            yield temporary


def check_replaceable(path: Path, elsewhere: str = "another folder") -> None:
    """Find before the work what a finished file could not replace, or must not.

    Args:
        path: of the file.
        elsewhere: as for :func:`atomic_path`.

    Raises:
        WriteError: a folder, a device or a pipe is there.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise write_error(path, errno.EISDIR, elsewhere)
    if not stat.S_ISREG(mode):
        raise WriteError(
            f"cannot write {plain(path)}: it is a device or pipe, not a file",
            f"choose {elsewhere or 'another name'}",
        )


def prepare_folder(folder: str | os.PathLike[str], elsewhere: str = "another folder") -> None:
    """Make a folder, see that it can be written, and remove what killed runs left half-written.

    Args:
        folder: of results.
        elsewhere: what else could be chosen, for the message, such as "another OUTPUT_DIR".

    Raises:
        WriteError: it cannot be made or written.
    """
    remove_leftovers(folder)
    with writing(folder, elsewhere):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
            file.flush()


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write H x W x 3 uint8 (RGB) or H x W uint8 or uint16 (grey), as .png, .jpg or the like.

    Raises:
        WriteError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=92)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON, UTF-8, readable by people.

    Raises:
        WriteError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        # A file name that is no UTF-8 holds lone surrogates; their escapes are valid JSON.
        temporary.write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
