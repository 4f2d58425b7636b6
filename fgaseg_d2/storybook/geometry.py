"""Corners of simple outlines; x points to the right and y downwards."""

import math
from collections.abc import Sequence

import numpy as np

_FULL_TURN = np.radians(np.linspace(0, 360, 33))
_CIRCLE = np.stack([np.cos(_FULL_TURN), np.sin(_FULL_TURN)], axis=1)
_COARSE_CIRCLE = _CIRCLE[:-1:3]


def polygon(*points: tuple[float, float]) -> np.ndarray:
    """Corners as an N x 2 array."""
    return np.array(points, np.float64)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Corners of an upright rectangle, 4 x 2."""
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360, turn: float = 0
) -> np.ndarray:
    """Arc of an ellipse as 33 points; angles in degrees, clockwise on the screen from the right."""
    if (start, stop) == (0, 360):
        circle = _CIRCLE
    else:
        angles = np.radians(np.linspace(start, stop, 33))
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return rotate(circle * (rx, ry), math.radians(turn)) + (x, y)


def speck(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Ellipse of 11 points, enough for a mark of a few pixels."""
    return _COARSE_CIRCLE * (rx, ry) + (x, y)


def rotate(points: np.ndarray, angle: float) -> np.ndarray:
    """Turn N x 2 points around the origin, clockwise on the screen, by an angle in radians."""
    if angle == 0:
        return points
    # Not as a matrix product: how BLAS rounds it depends on the processor.
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = points[:, 0], points[:, 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)


def smooth(points: Sequence[tuple[float, float]], steps: int = 6) -> np.ndarray:
    """Closed Catmull-Rom curve through points.

    Args:
        points: N corners.
        steps: Points drawn for each corner.

    Returns:
        N * steps x 2 positions.
    """
    p1 = np.array(points, np.float64)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (p0, p1, p2, p3))
    cubic = (3 * p1 - p0 - 3 * p2 + p3) * t * t * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t
    return (0.5 * (cubic + (p2 - p0) * t + 2 * p1)).reshape(-1, 2)


def ribbon(points: np.ndarray, width: float) -> np.ndarray:
    """Outline of a line of some width through N x 2 points, 2 N x 2; it runs mostly downwards."""
    offset = np.array([width / 2, 0.0])
    return np.concatenate([points - offset, (points + offset)[::-1]])
