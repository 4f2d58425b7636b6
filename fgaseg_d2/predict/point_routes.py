"""The routes of a point: which parts of the picture its window attends to, in pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ..modeling.inference.geometry import Box
from ..modeling.routes import Routes
from ..wording import shown

Point = tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PointRoutes:
    """Where a point's window looks in one layer; boxes are x0, y0, x1, y1 in pixels, float64.

    Args:
        window: 4, the window of tokens that the point lies in.
        chosen: k x 4, the windows that it attends to, the best first; itself may be among them.
        view: 4, the part of the picture that the model looked at: all of it, or a sliding window.
        windows: how many windows it chose from.
    """

    window: np.ndarray
    chosen: np.ndarray
    view: np.ndarray
    windows: int


def check_point(point: Point, width: int, height: int) -> None:
    """Refuse what is no pixel of a picture.

    Args:
        point: column and row, from 0.
        width, height: of the picture in pixels.

    Raises:
        ValueError: the point is no pair of whole numbers, or lies outside.
    """
    x, y = point
    whole = all(isinstance(place, (int, np.integer)) for place in point)
    if not (whole and 0 <= x < width and 0 <= y < height):
        raise ValueError(
            f"expected a point inside the picture, x from 0 to {width - 1} and y from 0 to "
            f"{height - 1}, got {shown(x)},{shown(y)}; choose such as {width // 2},{height // 2}"
        )


def routes_of_point(
    routes: Mapping[str, Routes], views: Sequence[Box], point: Point, size: tuple[int, int]
) -> dict[str, PointRoutes]:
    """The routes of a pixel, by layer.

    Where several views show the pixel, those of the view in whose middle it lies most.

    Args:
        routes: of the layers.
        views: what each view shows, in fractions of the picture's width and height.
        point: column and row.
        size: width and height of the picture in pixels.
    """
    # The middle of the pixel.
    x, y = ((place + 0.5) / side for place, side in zip(point, size, strict=True))
    number = min(range(len(views)), key=lambda index: _distance(views[index], x, y))
    left, top, right, bottom = views[number]
    corner, extent = np.array([left, top]), np.array([right - left, bottom - top])
    scale = np.array([*size, *size])

    def in_pixels(boxes: Sequence[Box]) -> np.ndarray:
        """Boxes in fractions of the view -> in pixels of the picture."""
        return (np.array(boxes) * np.tile(extent, 2) + np.tile(corner, 2)) * scale

    found = {}
    for name, layer in routes.items():
        own = layer.window_at((x - left) / extent[0], (y - top) / extent[1])
        chosen = layer.chosen[number, own].tolist()
        found[name] = PointRoutes(
            window=in_pixels([layer.box(own)])[0],
            chosen=in_pixels([layer.box(window) for window in chosen]),
            view=np.array(views[number]) * scale,
            windows=layer.chosen.shape[1],
        )
    return found


def _distance(box: Box, x: float, y: float) -> float:
    """From a box's middle: 1 at its edges, more outside."""
    left, top, right, bottom = box
    return max(abs(2 * (x - left) / (right - left) - 1), abs(2 * (y - top) / (bottom - top) - 1))
