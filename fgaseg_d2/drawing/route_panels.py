"""The routes of a point: a panel for each layer, bright where the point's window looks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from .fonts import font_for
from .legend import INK, QUIET, wrap_text
from .sheet_parts import (
    GAP,
    MARGIN,
    SMALL,
    TEXT,
    blank_strip,
    fitted,
    resized,
    text_height,
    write_lines,
)

_SIDE, _HEIGHT = 300, 400  # of a panel: least width, and height at most
_DARK = 0.3  # what is left of the brightness of a window without a route
FRAME, _EDGE = (255, 140, 0), (255, 255, 255)


@dataclasses.dataclass(frozen=True)
class RoutePanel:
    """Where the window of a point looks in one layer.

    Args:
        title, note: what stands above.
        window: the point's window: left, top, right, bottom in pixels of the picture.
        chosen: k x 4, the windows that it attends to, the best first.
        view: 4, the part of the picture that the model looks at here.
    """

    title: str
    note: str
    window: np.ndarray
    chosen: np.ndarray
    view: np.ndarray


@dataclasses.dataclass(frozen=True)
class PointPanels:
    """The panels of a point.

    Args:
        point: column and row of a pixel.
        layers: one panel or more.
    """

    point: tuple[int, int]
    layers: Sequence[RoutePanel]


def draw_routes(image: np.ndarray, routes: PointPanels, width: int) -> np.ndarray:
    """Draw the panels beside each other, in several lines where one is too short.

    Args:
        image: H x W x 3, uint8, RGB.
        routes: the panels.
        width: of the sheet, in pixels.

    Returns:
        A strip of the sheet, uint8, RGB.
    """
    point, panels = routes.point, routes.layers
    room = width - 2 * MARGIN
    across = min(len(panels), max(1, (room + GAP) // (_SIDE + GAP)))
    size = fitted(image.shape, (room - GAP * (across - 1)) // across, _HEIGHT)
    pitch = max(size[0], _SIDE) + GAP
    lines = [panels[start : start + across] for start in range(0, len(panels), across)]
    text, small = font_for("", TEXT), font_for("", SMALL)
    strips = [_heading(point, width)]
    for line in lines:
        above = text_height([""], text) + text_height([""], small) + GAP // 3
        strip = blank_strip(width, above + size[1] + GAP)
        draw = ImageDraw.Draw(strip)
        for number, panel in enumerate(line):
            left = MARGIN + pitch * number
            top = write_lines(draw, (left, 0), [panel.title], text, INK)
            write_lines(draw, (left, top), [panel.note], small, QUIET)
            strip.paste(Image.fromarray(draw_panel(image, point, panel, size)), (left, above))
        strips.append(np.asarray(strip))
    return np.vstack(strips)


def draw_panel(
    image: np.ndarray, point: tuple[int, int], panel: RoutePanel, size: tuple[int, int]
) -> np.ndarray:
    """Draw one panel.

    Args:
        image: H x W x 3, uint8, RGB.
        point: column and row of a pixel.
        panel: the routes of a layer.
        size: width and height of the result.

    Returns:
        The picture, dark but for the windows attended to, which bear their rank; the point's window
        is framed, and the view where it is not all of the picture. uint8, RGB.
    """
    small = resized(image, size)
    scale = np.array([size[0] / image.shape[1], size[1] / image.shape[0]] * 2)
    boxes = np.rint(panel.chosen * scale).astype(int).tolist()
    shown = (small * _DARK).astype(np.uint8)
    for left, top, right, bottom in boxes:
        shown[top:bottom, left:right] = small[top:bottom, left:right]
    picture = Image.fromarray(shown)
    draw = ImageDraw.Draw(picture)
    for rank, (left, top, right, bottom) in enumerate(boxes, start=1):
        _frame(draw, (left, top, right, bottom), _EDGE, 1)
        font = font_for("", max(10, min(22, (bottom - top) // 2)))
        middle = ((left + right) / 2, (top + bottom) / 2)
        draw.text(middle, str(rank), _EDGE, font, anchor="mm", stroke_width=2, stroke_fill=INK)
    window, view = (np.rint(box * scale).astype(int) for box in (panel.window, panel.view))
    if view.tolist() != [0, 0, *size]:
        _frame(draw, view, _EDGE, 1)
    _frame(draw, window, FRAME, 3)
    x, y = ((place + 0.5) * factor for place, factor in zip(point, scale, strict=False))
    draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=FRAME, outline=INK)
    return np.asarray(picture)


def _frame(
    draw: ImageDraw.ImageDraw, box: Iterable[int], color: tuple[int, int, int], width: int
) -> None:
    """A frame inside a box of at least 3 pixels a side."""
    left, top, right, bottom = map(int, box)
    corners = (left, top, max(left + 3, right) - 1, max(top + 3, bottom) - 1)
    draw.rectangle(corners, outline=color, width=width)


def _heading(point: tuple[int, int], width: int) -> np.ndarray:
    """What the panels show, in words."""
    text, small = font_for("", TEXT), font_for("", SMALL)
    note = "framed: its window of tokens; bright: the windows that this attends to, 1 suits it best"
    notes = wrap_text(note, small, width - 2 * MARGIN)
    title = f"Routes of the point {point[0]}, {point[1]}"
    strip = blank_strip(width, GAP + text_height([title], text) + text_height(notes, small) + GAP)
    draw = ImageDraw.Draw(strip)
    top = write_lines(draw, (MARGIN, GAP), [title], text, INK)
    write_lines(draw, (MARGIN, top), notes, small, QUIET)
    return np.asarray(strip)
