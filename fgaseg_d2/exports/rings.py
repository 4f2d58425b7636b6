"""Outlines of masks: rings along the edges of pixels, and closed lines through their centers.

A ring is an array N x 2 of x and y, closed from its last point to its first. Rings along the edges
enclose exactly the area of the mask: a pixel in column x and row y is the square from (x, y) to
(x + 1, y + 1). Programs that fill a polygon and draw its border as well (OpenCV's ``fillPoly``,
Pillow's ``polygon``) need lines through the centers of the outermost pixels instead.
"""

from __future__ import annotations

import cv2
import numpy as np


def edge_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Rings along the edges of the pixels of one piece.

    They follow the rules of OGC's simple features: no ring crosses or touches itself, and rings
    touch each other in single points at most.

    Args:
        mask: H x W, bool, a single piece whose pixels hang together by their sides.

    Returns:
        The outer ring, then those of the holes; N x 2 each, int64, corners only. The shoelace
        formula makes the area of the outer ring positive and that of holes negative.
    """
    padded = np.pad(mask, 1)
    northwest, northeast = padded[:-1, :-1], padded[:-1, 1:]
    southwest, southeast = padded[1:, :-1], padded[1:, 1:]
    odd = northwest ^ northeast ^ southwest ^ southeast
    # Two pixels that meet in a point: the ring passes twice, each time around what is not there.
    twice = (northwest == southeast) & (southwest == northeast) & (northwest != northeast)
    ys, xs = np.nonzero(odd | twice)
    times = 1 + twice[ys, xs]
    ys, xs = np.repeat(ys, times), np.repeat(xs, times)
    count = len(ys)
    # In a row the first and second corner bound a piece of outline, the third and fourth, ...
    across = np.arange(count) ^ 1
    # Of a corner that is there twice, the first is the end of the outline on its left. Where the
    # mask lies southwest, what is not there lies northwest, so it goes on upwards.
    second = np.concatenate([[False], (ys[1:] == ys[:-1]) & (xs[1:] == xs[:-1])])
    first = np.concatenate([second[1:], [False]])
    below = (first & ~southwest[ys, xs]) | (second & southwest[ys, xs])
    order = np.lexsort((below, ys, xs))
    down = np.empty(count, np.int64)
    down[order] = order[np.arange(count) ^ 1]
    rings = _cycles(across.tolist(), down.tolist())
    points = np.stack([xs, ys], 1)
    found = []
    for ring in rings:
        corners = points[ring]
        x, y = corners[0]
        # A ring begins at its upper left corner, to the right: clockwise, as outer rings go.
        found.append(corners if southeast[y, x] else np.roll(corners[::-1], 1, 0))
    return found


def _cycles(across: list[int], down: list[int]) -> list[list[int]]:
    """Follow outlines along rows and columns in turn, each from its first corner."""
    rings, seen = [], bytearray(len(across))
    for start in range(len(across)):
        if seen[start]:
            continue
        ring, corner = [], start
        while not seen[corner]:
            other = across[corner]
            seen[corner] = seen[other] = 1
            ring += [corner, other]
            corner = down[other]
        rings.append(ring)
    return rings


def center_polygon(mask: np.ndarray) -> np.ndarray:
    """One closed line through the centers of the outermost pixels of a piece and of its holes.

    A hole is joined to what lies left of it by a cut that the line goes there and back, inside the
    mask. Whoever fills the line by the rule of even and odd, and draws it, gets exactly the mask.

    Args:
        mask: H x W, bool, a single piece whose pixels hang together by their sides.

    Returns:
        N x 2, int64, x and y as columns and rows of pixels, at least 3 points, which may coincide.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [contour[:, 0].astype(np.int64) for contour in contours]
    outer = min(range(len(rings)), key=lambda number: tuple(rings[number].min(0)))
    line = rings.pop(outer)
    # Whatever lies left of a hole is part of the line before it.
    for hole in sorted(rings, key=lambda ring: ring[:, 0].min()):
        line = _joined(line, hole)
    return line if len(line) > 2 else np.resize(line, (3, 2))


def _joined(line: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Go along a line, to a hole on its right, around that, and back."""
    leftmost = int(hole[:, 0].argmin())
    x, y = hole[leftmost]
    ends = np.roll(line, -1, 0)
    low, high = np.minimum(line[:, 1], ends[:, 1]), np.maximum(line[:, 1], ends[:, 1])
    # Lines go along rows, columns and diagonals, so they meet a row at whole numbers.
    rise = ends[:, 1] - line[:, 1]
    sign = np.sign(ends[:, 0] - line[:, 0]) * np.sign(rise)
    meets = line[:, 0] + np.where(rise == 0, 0, sign * (y - line[:, 1]))
    level = (rise == 0) & (line[:, 1] == y)
    # Of a piece along this row, what counts is its end on the right, or the hole's own column.
    right = np.minimum(np.maximum(line[:, 0], ends[:, 0]), x)
    meets = np.where(level & (np.minimum(line[:, 0], ends[:, 0]) <= x), right, meets)
    possible = (low <= y) & (y <= high) & (meets <= x)
    number = int(np.where(possible, meets, -1).argmax())
    cut = np.array([[meets[number], y]])
    around = np.roll(hole, -leftmost, 0)
    return np.concatenate([line[: number + 1], cut, around, around[:1], cut, line[number + 1 :]])
