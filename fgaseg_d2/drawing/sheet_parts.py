"""What the strips of a contact sheet share: distances, sizes of type, lines of text, pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .legend import PAPER

MARGIN, GAP = 28, 18
TEXT, SMALL, TITLE = 19, 15, 26
_THINNEST = 24  # shorter side of the maps of a very long picture


def blank_strip(width: int, height: int) -> Image.Image:
    """A part of a sheet that nothing is drawn on yet."""
    return Image.new("RGB", (width, height), PAPER)


def fitted(shape: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    """Width and height, even, of a picture of this shape in a box; not thinner than can be seen."""
    ratio = min(height / shape[0], width / shape[1])
    across, down = (max(_THINNEST, 2 * round(side * ratio / 2)) for side in shape[1::-1])
    return across, down


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture or map at this width and height."""
    shrinks = size[0] <= picture.shape[1] and size[1] <= picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def text_height(lines: Sequence[str], font: ImageFont.FreeTypeFont) -> int:
    """Of lines of text."""
    return round(1.35 * font.size) * len(lines)


def write_lines(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    lines: Sequence[str],
    font: ImageFont.FreeTypeFont,
    color: tuple[int, ...],
) -> int:
    """Write lines below each other; returns where the next would begin."""
    for number, line in enumerate(lines):
        at = (corner[0], corner[1] + text_height([""], font) * number)
        draw.text(at, line, fill=color, font=font)
    return corner[1] + text_height(lines, font)
