"""The forms in which a picture may come."""

from __future__ import annotations

import io
import os
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from ..checkpoint.downloads import fetched_file
from ..checkpoint.transfers import is_url
from ..io.files import is_open_file, read_image

Picture: TypeAlias = (
    str | os.PathLike | bytes | bytearray | io.IOBase | Image.Image | np.ndarray | Tensor
)


def picture_array(image: Picture) -> np.ndarray:
    """Turn a picture into RGB.

    Args:
        image: what :func:`~fgaseg_d2.io.files.read_image` takes, or an http(s) address.

    Returns:
        H x W x 3, uint8, RGB.

    Raises:
        OSError: no such file, or an address that nothing could be fetched from.
        ValueError: not a picture.
    """
    if isinstance(image, str) and is_url(image):
        with fetched_file(image, "a picture") as path:
            return read_image(path)
    return read_image(image)


def several(images: Any) -> list[Picture]:
    """A list of pictures.

    Raises:
        ValueError: it is a single one.
    """
    single = isinstance(images, (str, bytes, bytearray, os.PathLike, Image.Image))
    if single or is_open_file(images) or getattr(images, "ndim", 4) < 4:
        raise ValueError("expected pictures in a list, got a single one; put it in a list")
    return list(images)


def source_of(image: Picture) -> str:
    """Where a picture came from, "" if that is not known."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    name = getattr(image, "filename", "") or getattr(image, "name", "")
    return name if isinstance(name, str) else ""
