"""Corners of simple outlines; x points to the right and y downwards."""

from collections.abc import Sequence

import numpy as np


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
    angles = np.radians(np.linspace(start, stop, 33))
    dx, dy = rx * np.cos(angles), ry * np.sin(angles)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return np.stack([x + cos * dx - sin * dy, y + sin * dx + cos * dy], axis=1)


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
    cubic = (3 * p1 - p0 - 3 * p2 + p3) * t**3 + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
    return (0.5 * (cubic + (p2 - p0) * t + 2 * p1)).reshape(-1, 2)
