"""Colors of classes: well apart, and the same for every vocabulary."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from .vocabulary import BACKGROUND

_BACKGROUND_COLOR = (128, 128, 128)
# Well-known colours for the first classes; the rest is computed.
_FIRST_COLORS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (255, 217, 47), (23, 190, 207), (227, 119, 194), (140, 86, 75), (166, 216, 84),
)  # fmt: skip


def class_colors(count: int) -> np.ndarray:
    """Colours that stay apart from each other; the first ones are the same for every count.

    Args:
        count: number of colours, 0 or more.

    Returns:
        count x 3, uint8, RGB.
    """
    # Rounded up, so that neighbouring counts share one computation.
    return _spread_colors(max(64, 1 << max(count - 1, 0).bit_length()))[:count].copy()


@lru_cache(maxsize=8)
def _spread_colors(count: int) -> np.ndarray:
    """Take again and again the candidate that is farthest from all colours taken (in CIELAB)."""
    levels = np.linspace(20, 245, 16 if count <= 1024 else 40).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lab = _lab(candidates)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    pleasant = (chroma > 22) & (chroma < 88) & (lab[:, 0] > 30) & (lab[:, 0] < 88)
    candidates, lab = candidates[pleasant], lab[pleasant]
    colors = list(np.array(_FIRST_COLORS, np.uint8))
    distance = np.full(len(lab), np.inf)
    for taken in _lab(np.array(_FIRST_COLORS, np.uint8)):
        distance = np.minimum(distance, np.linalg.norm(lab - taken, axis=1))
    while len(colors) < count:
        farthest = int(distance.argmax())
        colors.append(candidates[farthest])
        distance = np.minimum(distance, np.linalg.norm(lab - lab[farthest], axis=1))
    return np.array(colors[:count], np.uint8)


def _lab(colors: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(colors[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]


def default_colors(class_names: Sequence[str]) -> np.ndarray:
    """Colours of named classes: :func:`class_colors`, and grey for "background".

    Returns:
        K x 3, uint8, RGB.
    """
    colors = class_colors(len(class_names))
    colors[[name == BACKGROUND for name in class_names]] = _BACKGROUND_COLOR
    return colors
