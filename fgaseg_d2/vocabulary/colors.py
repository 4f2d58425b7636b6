"""Colors of classes: as their names ask for where these do, and far from each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np

from .color_words import meant_color
from .vocabulary import BACKGROUND

_BACKGROUND_COLOR = (128, 128, 128)
# Well-known colours for the first classes; the rest is computed.
_FIRST_COLORS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (255, 217, 47), (23, 190, 207), (227, 119, 194), (140, 86, 75), (166, 216, 84),
)  # fmt: skip
# Distances in CIELAB.
_APART = 24  # a well-known color is left out if a name took one as near as this
_FAR = 40  # farther from others than this is no better
_DEPARTURE = 34  # from the color that a name asks for, at most
_HUE = np.deg2rad(15)  # likewise, for colors that have a hue
_COLORFUL = 20  # chroma from which on they have
_TINGE = 6  # chroma that the others may gain


def class_colors(count: int) -> np.ndarray:
    """Colours that stay apart from each other; the first ones are the same for every count.

    Args:
        count: number of colours, 0 or more.

    Returns:
        count x 3, uint8, RGB.
    """
    # Rounded up, so that most counts share one computation; the registered benchmarks need 847.
    return _spread_colors(max(1024, 1 << max(count - 1, 0).bit_length()), ())[:count].copy()


def default_colors(class_names: Sequence[str]) -> np.ndarray:
    """Colours of named classes.

    A class whose name asks for a colour ("red car", "sky") gets it, or one of the same hue if
    another class has that, most of all its neighbour in the list. The others get
    :func:`class_colors` as far from these as can be, and "background" is grey.

    Returns:
        K x 3, uint8, RGB.
    """
    return _default_colors(tuple(class_names)).copy()


@lru_cache(maxsize=32)
def _default_colors(names: tuple[str, ...]) -> np.ndarray:
    colors = np.full((len(names), 3), _BACKGROUND_COLOR, np.uint8)
    wanted = {k: color for k, name in enumerate(names) if (color := meant_color(name))}
    if wanted:
        indices = list(wanted)
        colors[indices] = _near_wanted(wanted)
    rest = [k for k, name in enumerate(names) if k not in wanted and name != BACKGROUND]
    if rest:
        taken = tuple(map(tuple, colors[list(wanted)].tolist()))
        colors[rest] = _spread_colors(len(rest), taken) if taken else class_colors(len(rest))
    return colors


def _near_wanted(wanted: dict[int, tuple[int, int, int]]) -> np.ndarray:
    """For each class a colour near to the one it asks for, and far from those of the others.

    Args:
        wanted: index of a class -> the colour that it asks for.
    """
    grid = _grid(16, 255)
    taken: dict[int, np.ndarray] = {}
    found = []
    for index, color in wanted.items():
        candidates = np.vstack([np.array([color], np.uint8), grid])
        lab = _lab(candidates)
        departure = np.linalg.norm(lab - lab[0], axis=1)
        possible = (departure <= _DEPARTURE) & _same_hue(lab, lab[0])
        apart = np.full(len(lab), float(_FAR))
        for other, place in taken.items():
            distance = np.linalg.norm(lab - place, axis=1)
            # Neighbours in a list are compared most often.
            apart = np.minimum(apart, distance * (0.7 if abs(other - index) == 1 else 1.0))
        best = int(np.where(possible, apart - departure / 2, -np.inf).argmax())
        taken[index] = lab[best]
        found.append(candidates[best])
    return np.array(found, np.uint8)


def _same_hue(lab: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    chroma, hue = np.hypot(lab[:, 1], lab[:, 2]), np.arctan2(lab[:, 2], lab[:, 1])
    if chroma[0] < _COLORFUL:
        return chroma <= chroma[0] + _TINGE
    turned = np.angle(np.exp(1j * (hue - np.arctan2(wanted[2], wanted[1]))))
    return (np.abs(turned) <= _HUE) & (chroma >= _COLORFUL)


@lru_cache(maxsize=32)
def _spread_colors(count: int, avoided: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Take again and again the candidate that is farthest from all colours taken (in CIELAB)."""
    candidates = _grid(16 if count <= 1024 else 40)
    lab = _lab(candidates)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    pleasant = (chroma > 22) & (chroma < 88) & (lab[:, 0] > 30) & (lab[:, 0] < 88)
    candidates, lab = candidates[pleasant], lab[pleasant]
    colors = list(_well_known(avoided))
    distance = np.full(len(lab), np.inf)
    for taken in _lab(np.array([*colors, *avoided], np.uint8)):
        distance = np.minimum(distance, np.linalg.norm(lab - taken, axis=1))
    while len(colors) < count:
        farthest = int(distance.argmax())
        colors.append(candidates[farthest])
        distance = np.minimum(distance, np.linalg.norm(lab - lab[farthest], axis=1))
    return np.array(colors[:count], np.uint8)


def _well_known(avoided: Iterable[tuple[int, ...]]) -> np.ndarray:
    """The first colours but those that are near to others."""
    first = np.array(_FIRST_COLORS, np.uint8)
    others = np.array(list(avoided), np.uint8)
    if not len(others):
        return first
    distance = np.linalg.norm(_lab(first)[:, None] - _lab(others)[None], axis=-1)
    return first[distance.min(1) >= _APART]


def _grid(steps: int, highest: int = 245) -> np.ndarray:
    """Colours with this many levels of red, green and blue, steps^3 x 3, uint8."""
    levels = np.linspace(20, highest, steps).round().astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)


def _lab(colors: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(colors[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
