"""A picture and its label map, drawn together.

Positions and lengths are fractions of the shorter image side, x to the right and y downwards.
"""

import cv2
import numpy as np

from .classes import IGNORE_LABEL
from .paint import Colour, Paint

_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
OUTLINE_WIDTH = 0.009


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

    @property
    def height(self) -> float:
        """Height in units of the shorter side."""
        return self.image.shape[0] / self.side

    @property
    def width(self) -> float:
        """Width in units of the shorter side."""
        return self.image.shape[1] / self.side

    def fill(self, polygon: np.ndarray, colour: Colour, class_id: int | None = None) -> None:
        """Fill a polygon with one colour.

        Args:
            polygon: N x 2 corners.
            colour: RGB in 0..255.
            class_id: Label of the area; None leaves the labels as they are.
        """
        points = [self._fixed(polygon)]
        cv2.fillPoly(self.image, points, colour, cv2.LINE_AA, _SHIFT)
        if class_id is not None:
            cv2.fillPoly(self.label, points, class_id, cv2.LINE_8, _SHIFT)

    def fill_painted(self, polygon: np.ndarray, paint: Paint, tone: float, class_id: int) -> None:
        """Fill a polygon with a paint.

        Args:
            polygon: N x 2 corners.
            paint: Colours by position.
            tone: Brightness factor, 1 leaves the paint as it is.
            class_id: Label of the area.
        """
        points = self._fixed(polygon)
        rows, columns = self.image.shape[:2]
        left, top = np.maximum((points.min(axis=0) >> _SHIFT) - 1, 0)
        right, bottom = np.minimum((points.max(axis=0) >> _SHIFT) + 2, (columns, rows))
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        corner = np.array([left, top], np.int32) << _SHIFT
        cv2.fillPoly(mask, [points - corner], 255, cv2.LINE_AA, _SHIFT)
        x = ((np.arange(left, right, dtype=np.float32) + 0.5) / self.side)[None, :]
        y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / self.side)[:, None]
        colours = np.clip(tone * paint.colours_at(x, y, 1 / self.side), 0, 255)
        region = self.image[top:bottom, left:right]
        amount = mask[..., None].astype(np.float32) / 255
        region[:] = (region + amount * (colours - region)).astype(np.uint8)
        cv2.fillPoly(self.label, [points], class_id, cv2.LINE_8, _SHIFT)

    def line(
        self,
        points: np.ndarray,
        width: float,
        colour: Colour,
        class_id: int | None = None,
        closed: bool = False,
    ) -> None:
        """Draw a line through points.

        Args:
            points: N x 2 positions.
            width: Width of the line; never thinner than a pixel.
            colour: RGB in 0..255.
            class_id: Label of the line; None leaves the labels as they are.
            closed: Whether the last point joins the first.
        """
        path, pixels = [self._fixed(points)], max(1, round(width * self.side))
        cv2.polylines(self.image, path, closed, colour, pixels, cv2.LINE_AA, _SHIFT)
        if class_id is not None:
            cv2.polylines(self.label, path, closed, class_id, pixels, cv2.LINE_8, _SHIFT)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        """Positions in fixed-point pixel coordinates, where a pixel's centre is an integer."""
        pixels = np.asarray(points, np.float64) * self.side - 0.5
        return np.rint(pixels * (1 << _SHIFT)).astype(np.int32)
