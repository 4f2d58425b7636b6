"""A picture and its label map, drawn together.

Positions and lengths are fractions of the shorter image side, x to the right and y downwards.

The pixels must not depend on the machine. Points are rounded to sixteenths of a pixel before OpenCV
sees them, and OpenCV only draws with anti-aliasing, whose integer arithmetic gives the same bytes
in all of its versions (tried from 4.8 to 5.0); its hard-edged filling does not. Labels therefore
come from the anti-aliased mask, where it covers half a pixel or more.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .classes import IGNORE_LABEL
from .paint import Color, Paint

_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
# Halves round up even where the last bit of a cosine differs between two machines.
_HALF = 0.5 + 1e-6
SHORTEST_SIDE, LONGEST_SIDE = 32, 4096  # pixels
OUTLINE_WIDTH = 0.018  # of a dark line around a thing; half of it is visible


def check_sides(height: int, width: int) -> None:
    """Raise a ValueError unless a scene of so many pixels can be drawn."""
    if min(height, width) < SHORTEST_SIDE:
        raise ValueError(
            f"expected sides of at least {SHORTEST_SIDE} pixels, got {height} x {width}"
        )
    if max(height, width) > LONGEST_SIDE:
        raise ValueError(f"expected sides of at most {LONGEST_SIDE} pixels, got {height} x {width}")


class Canvas:
    """An RGB picture with anti-aliased edges and a label map with hard ones.

    Args:
        height: Rows in pixels.
        width: Columns in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        """Start with a black picture and no labels."""
        self.side = min(height, width)
        self.image = np.zeros((height, width, 3), np.uint8)
        self.label = np.full((height, width), IGNORE_LABEL, np.uint8)
        self.things = np.zeros((height, width), np.uint8)

    @property
    def height(self) -> float:
        """Height in units of the shorter side."""
        return self.image.shape[0] / self.side

    @property
    def width(self) -> float:
        """Width in units of the shorter side."""
        return self.image.shape[1] / self.side

    def fill(self, polygon: np.ndarray, color: Color, class_id: int | None = None) -> None:
        """Fill a polygon with one colour.

        Args:
            polygon: N x 2 corners.
            color: RGB in 0..255.
            class_id: Label of the area; None leaves the labels as they are.
        """
        fill_polygon(self.image, polygon, color, self.side)
        if class_id is not None:
            self.mark([polygon], class_id)

    def fill_painted(self, polygon: np.ndarray, paint: Paint, tone: float) -> None:
        """Fill a polygon with a paint and leave the labels as they are.

        Args:
            polygon: N x 2 corners.
            paint: Colours by position.
            tone: Brightness factor, 1 leaves the paint as it is.
        """
        left, top, right, bottom = self._bounds([polygon])
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        fill_polygon(mask, polygon, 255, self.side, (left, top))
        x = ((np.arange(left, right, dtype=np.float32) + 0.5) / self.side)[None, :]
        y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / self.side)[:, None]
        colors = np.clip(tone * paint.colors_at(x, y, 1 / self.side), 0, 255)
        region = self.image[top:bottom, left:right]
        amount = mask[..., None].astype(np.float32) / 255
        region[:] = (region + amount * (colors - region) + 0.5).astype(np.uint8)

    def line(self, points: np.ndarray, width: float, color: Color, closed: bool = False) -> None:
        """Draw a line through points and leave the labels as they are.

        Args:
            points: N x 2 positions.
            width: Width of the line; never thinner than a pixel.
            color: RGB in 0..255.
            closed: Whether the last point joins the first.
        """
        draw_line(self.image, points, width, color, side=self.side, closed=closed)

    def mark(
        self, polygons: Sequence[np.ndarray], class_id: int, outline: float = 0, thing: int = 0
    ) -> None:
        """Label the union of polygons.

        Args:
            polygons: N x 2 corners each.
            class_id: Label of the area.
            outline: Width of a line around each of them that belongs to the area, if any.
            thing: Number of the thing that the area is of, from 1; 0 for stuff.
        """
        left, top, right, bottom = self._bounds(polygons, outline)
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        for polygon in polygons:
            fill_polygon(mask, polygon, 255, self.side, (left, top))
            if outline:
                draw_line(
                    mask, polygon, outline, 255, side=self.side, corner=(left, top), closed=True
                )
        self.label[top:bottom, left:right][mask >= 128] = class_id
        self.things[top:bottom, left:right][mask >= 128] = thing

    def _bounds(
        self, polygons: Sequence[np.ndarray], margin: float = 0
    ) -> tuple[int, int, int, int]:
        """Left, top, right and bottom pixel of the part of the picture that polygons touch."""
        points = np.concatenate([to_fixed(polygon, self.side) for polygon in polygons])
        rows, columns = self.label.shape
        edge = 2 + round(margin * self.side)
        left, top = np.maximum((points.min(axis=0) >> _SHIFT) - edge, 0)
        right, bottom = np.minimum((points.max(axis=0) >> _SHIFT) + edge + 1, (columns, rows))
        return int(left), int(top), int(right), int(bottom)


def to_fixed(points: np.ndarray, side: int) -> np.ndarray:
    """Positions in sixteenths of a pixel, N x 2 int32; a pixel's centre is a whole pixel."""
    pixels = np.asarray(points, np.float64) * side - 0.5
    return np.floor(pixels * (1 << _SHIFT) + _HALF).astype(np.int32)


def fill_polygon(
    pixels: np.ndarray,
    polygon: np.ndarray,
    color: Color | int,
    side: int,
    corner: tuple[int, int] = (0, 0),
) -> None:
    """Fill a polygon in an array of pixels, with anti-aliasing.

    Args:
        pixels: H x W x 3 or H x W uint8, changed in place.
        polygon: N x 2 corners in units of ``side``.
        color: What to fill with.
        side: Pixels to a unit of length.
        corner: Column and row of the picture where the array begins.
    """
    points = to_fixed(polygon, side) - (np.array(corner, np.int32) << _SHIFT)
    cv2.fillPoly(pixels, [points], color, cv2.LINE_AA, _SHIFT)


def draw_line(
    pixels: np.ndarray,
    points: np.ndarray,
    width: float,
    color: Color | int,
    *,
    side: int,
    corner: tuple[int, int] = (0, 0),
    closed: bool,
) -> None:
    """Draw a line of at least a pixel; the arguments are those of :func:`fill_polygon`."""
    path = to_fixed(points, side) - (np.array(corner, np.int32) << _SHIFT)
    thickness = max(1, round(width * side))
    cv2.polylines(pixels, [path], closed, color, thickness, cv2.LINE_AA, _SHIFT)
