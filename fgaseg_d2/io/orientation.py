"""Orientation tags: which way up a file says that it is, applied alike to pictures and labels.

Cameras note how they were held instead of turning the pixels (Exif 2.32, tag 0x0112, also in PNG's
eXIf, TIFF and XMP). Pillow applies it to TIFF by itself, and to nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

UPRIGHT = 1
# What Pillow raises at a damaged note; no reason to refuse the picture.
_DAMAGED = (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error)
# What brings the stored rows and columns upright; those from 5 on swap height and width.
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}


def swaps_sides(tag: int) -> bool:
    """Whether an orientation makes height of width."""
    return tag >= 5


def read_tag(image: Image.Image) -> int:
    """The orientation that is still to be applied to a Pillow image, 2 to 8; 1 for none."""
    try:
        tag = image.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGED:
        return UPRIGHT
    return tag if isinstance(tag, int) and tag in _TURNS else UPRIGHT


def load_upright(
    image: Image.Image, to_array: Callable[[Image.Image], np.ndarray] = np.asarray
) -> tuple[np.ndarray, int]:
    """Decode an image and turn it as it says.

    Args:
        image: of Pillow, perhaps not yet decoded.
        to_array: image -> H x W or H x W x C.

    Returns:
        The upright array, and the orientation that the image had, 1 for none.
    """
    tag = read_tag(image)
    _load(image, tag)
    # Decoding may have applied the tag (TIFF), or have found it behind the pixels (PNG).
    pending = read_tag(image)
    pixels = to_array(image)
    if pending != UPRIGHT:
        pixels = np.ascontiguousarray(_TURNS[pending](pixels))
    return pixels, pending if tag == UPRIGHT else tag


def _load(image: Image.Image, tag: int) -> None:
    if not (isinstance(image, TiffImageFile) and swaps_sides(tag)):
        image.load()
        return
    # Pillow 13 maps an uncompressed file with height and width of the upright picture, which
    # shears it, unless it does not know the file's name.
    name = image.filename
    try:
        image.filename = ""
        image.load()
    finally:
        image.filename = name


def upright_size(image: Image.Image) -> tuple[tuple[int, int], int]:
    """Height and width of an image when it is upright, and its orientation, 1 for none.

    Only a PNG without a tag before its pixels is decoded, because it may have one behind them.
    """
    tag = read_tag(image)
    width, height = image.size
    # Pillow knows a TIFF's final size before it is decoded, and turns that alone by itself.
    if swaps_sides(tag) and not isinstance(image, TiffImageFile):
        height, width = width, height
    return (height, width), tag


def note(tag: int) -> str:
    """A clause for messages about sizes, empty where there is no tag."""
    return f" after its orientation tag {tag} is applied" if tag != UPRIGHT else ""
