"""Reads pictures of every kind as RGB, and writes results so that no half-written file stays."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from fgaseg_d2.orientation import UPRIGHT, load_upright
from fgaseg_d2.regular_files import require_file


def read_image(image: str | os.PathLike[str] | Image.Image | np.ndarray) -> np.ndarray:
    """Turn a picture into RGB.

    Grey becomes RGB, 16 bits become 8, and what is transparent is laid on white. The orientation
    that a camera noted (EXIF) is applied, to a file as to a PIL image that still has it.

    Args:
        image: a file's path, a PIL image, or an array H x W, H x W x 1, 3 (RGB) or 4 (RGBA) of
            uint8 or uint16.

    Returns:
        H x W x 3, uint8, RGB.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, a damaged one, or an array of another kind.
    """
    return read_picture(image)[0]


def read_picture(
    image: str | os.PathLike[str] | Image.Image | np.ndarray,
) -> tuple[np.ndarray, int]:
    """Read a picture as :func:`read_image` does, with the orientation that it had (1: none)."""
    if isinstance(image, np.ndarray):
        return _read_array(image), UPRIGHT
    if isinstance(image, Image.Image):
        return load_upright(image, _read_pil)
    if not isinstance(image, (str, os.PathLike)):
        raise ValueError(
            "expected a path, a PIL image or a NumPy array H x W x 3 (RGB, uint8), got "
            f"{type(image).__name__}; convert it to one of these"
        )
    path = require_file(Path(image).expanduser(), "a picture")
    with pillow_errors("picture", path), Image.open(path) as opened:
        return load_upright(opened, _read_pil)


@contextlib.contextmanager
def pillow_errors(
    what: str, path: str | os.PathLike[str], advice: str = "save it anew as PNG"
) -> Iterator[None]:
    """Turn what Pillow raises in the block at a bad file into a ValueError of one line.

    A FileNotFoundError passes, because only the caller knows where the file should be.

    Args:
        what: what the file should be, such as "picture".
        path: the file, which the message names.
        advice: what to do.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except UnidentifiedImageError as error:
        raise ValueError(
            f"expected a {what} that Pillow reads, got {str(path)!r}; {advice}"
        ) from error
    # Pillow reports a damaged file as any of these.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"expected a whole {what} in {str(path)!r}, got an error ({error}); {advice}"
        ) from error


def _read_pil(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        return _read_array(_narrow(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    else:
        image = image.convert("RGB")
    return _read_array(np.asarray(image))


def _narrow(values: np.ndarray) -> np.ndarray:
    """Pillow opens some 16-bit pictures as 32-bit integers; wider ranges have no known scale."""
    if values.dtype.kind in "iu" and values.size and 0 <= values.min() <= values.max() <= 65535:
        return values.astype(np.uint16)
    raise ValueError(
        f"expected a picture with 8 or 16 bits a channel, got values of {values.dtype} in another "
        "range; convert it to 8 bits"
    )


def _read_array(array: np.ndarray) -> np.ndarray:
    shape = array.shape
    channels = 1 if array.ndim == 2 else shape[-1] if array.ndim == 3 else 0
    if channels not in (1, 3, 4) or array.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            "expected a picture H x W x 3 of uint8 (RGB), got an array of shape "
            f"{'x'.join(map(str, shape))} and type {array.dtype}; move the channels to the end and "
            "scale to 0..255"
        )
    if 0 in shape:
        raise ValueError(
            f"expected a picture with pixels, got an array of shape {'x'.join(map(str, shape))}; "
            "check how it was cut"
        )
    if array.dtype == np.uint16:
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    array = array.reshape(*shape[:2], channels)
    if channels == 4:
        alpha = array[..., 3:].astype(np.float32) / 255
        array = np.rint(array[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*shape[:2], 3)))


# Begins the names of files that are being written.
PARTIAL = ".partial-"


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder, which becomes ``path`` if the block succeeds.

    The folder is made if it is not there. The temporary path keeps the ending, from which writers
    choose a format.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=PARTIAL, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp hides the file from other users; a result has the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write H x W x 3 uint8 (RGB) or H x W uint8 or uint16 (grey), as .png, .jpg or the like.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=92)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON, UTF-8, readable by people.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        # A file name that is no UTF-8 holds lone surrogates; their escapes are valid JSON.
        temporary.write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
