"""Writes words of classes onto their largest regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .fonts import font_for
from .legend import text_height, wrap_text

_SIDE = 480  # pixels of the label map in which places are looked for, at most
_INSIDE = 0.8  # share of a word's box that must lie in its region
_EDGE = 5  # pixels beyond which it does not matter how far away the region's edge is
# Sizes that are tried, of the legend's, and widths of lines, in letters' heights.
_ATTEMPTS = ((1.0, 16), (1.0, 4), (0.85, 16), (0.85, 4))
_INK, _HALO = (255, 255, 255), (25, 28, 32)


def write_words(picture: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Write each class's name where its largest region has most room for it.

    What has no room in a region, or only over another word, is left out.

    Args:
        picture: H x W x 3, uint8, RGB.
        labels: h x w, class indices, -1 for none; of the same shape, at any size.
        class_names: K display names.

    Returns:
        H x W x 3, uint8, RGB.
    """
    scale = max(1.0, max(labels.shape) / _SIDE)
    size = (max(1, round(labels.shape[1] / scale)), max(1, round(labels.shape[0] / scale)))
    small = cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
    free = np.ones(small.shape, np.uint8)
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    ratio = picture.shape[1] / small.shape[1]
    indices, areas = np.unique(small[small >= 0], return_counts=True)
    for index in indices[np.argsort(-areas, kind="stable")]:
        region = _largest_piece(small == index) & free
        for share, width in _ATTEMPTS:
            height = round(text_height(picture.shape[:2]) * share)
            font = font_for(class_names[index], height)
            longest = max(map(font.getlength, class_names[index].split()), default=0)
            lines = wrap_text(class_names[index], font, max(width * height, int(longest) + 1))
            text = "\n".join(lines)
            if _write(draw, text, font, (region, free), ratio):
                break
    return np.asarray(canvas)


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask, uint8, 0 or 1."""
    _, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return (numbers == 1 + boxes[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)


def _share(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """The share of a box that lies in a mask, by the place of the box's upper left corner."""
    sums = cv2.integral(mask)
    below, above = sums[height:], sums[:-height]
    counts = below[:, width:] - below[:, :-width] - above[:, width:] + above[:, :-width]
    return counts / (height * width)


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont,
    masks: tuple[np.ndarray, np.ndarray],
    ratio: float,
) -> bool:
    """Write a word if there is room, and note that its place is taken.

    Args:
        draw: what to write with.
        text: lines.
        font: of the text.
        masks: the region, and what is free, h x w, uint8, 0 or 1; the second is changed.
        ratio: pixels of the picture in one of the masks.
    """
    region, free = masks
    halo = max(1, round(font.size / 9))
    options: dict[str, Any] = {"font": font, "stroke_width": halo, "align": "center"}
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, **options)
    width, height = (max(1, int(np.ceil(side / ratio))) for side in (right - left, bottom - top))
    if width > region.shape[1] or height > region.shape[0]:
        return False
    inside, untouched = _share(region, height, width), _share(free, height, width) == 1
    depth = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    middle = depth[height // 2 :, width // 2 :][: inside.shape[0], : inside.shape[1]]
    # Of places that are inside alike, the one farthest from the region's edge.
    score = np.where(untouched, inside + np.minimum(middle, _EDGE * height) / (1e3 * height), 0.0)
    y, x = np.unravel_index(score.argmax(), score.shape)
    if not untouched[y, x] or inside[y, x] < _INSIDE:
        return False
    free[y : y + height, x : x + width] = 0
    corner = (x * ratio - left, y * ratio - top)
    draw.multiline_text(corner, text, fill=_INK, stroke_fill=_HALO, **options)
    return True
