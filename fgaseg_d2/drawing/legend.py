"""The legend of an overlay: a swatch, a name and a share of the pixels for every class."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .fonts import font_for

PAPER, INK, QUIET = (255, 255, 255), (33, 37, 41), (110, 117, 125)


@dataclasses.dataclass(frozen=True)
class LegendEntry:
    """A line of the legend: a class with its colour and its share of the pixels in [0, 1]."""

    name: str
    color: tuple[int, ...]
    share: float

    @property
    def percentage(self) -> str:
        """The share as text; what is there at all never reads as nothing."""
        if 0 < self.share < 0.001:
            return "<0.1%"
        return f"{self.share:.1%}"


def text_height(size: tuple[int, ...]) -> int:
    """Pixels of readable type beside or on a picture of this height and width."""
    return max(14, round((size[0] * size[1]) ** 0.5 / 34))


class _Style:
    """Sizes in pixels of everything in the legend, all from the size of the picture."""

    def __init__(self, height: int, width: int, names: Iterable[str]) -> None:
        self.text = text_height((height, width))
        self.font = font_for("".join(names), self.text)
        self.line = round(self.text * 1.3)
        self.row_gap = round(self.text * 0.45)
        self.swatch = self.text
        self.gap = round(self.text * 0.6)
        self.margin = round(self.text * 1.1)
        self.share = self.measure("100.0%")
        self.name = max(self.text * 16, width // 3)  # names wider than this continue on a new line

    def measure(self, text: str) -> int:
        return int(np.ceil(self.font.getlength(text)))

    def wrap(self, text: str) -> list[str]:
        return wrap_text(text, self.font, self.name)


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text at blanks, and a single long word where it must be.

    Args:
        text: one paragraph.
        font: that the text will be drawn in.
        width: of a line, in pixels.

    Returns:
        One line or more.
    """
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line] or [""]


def add_legend(
    picture: np.ndarray,
    entries: Sequence[LegendEntry],
    slots_for: Sequence[str] = (),
    slots: int = 0,
) -> np.ndarray:
    """Put a legend beside a tall picture, below a wide one; the canvas grows until all text fits.

    Args:
        picture: H x W x 3, uint8, RGB.
        entries: the lines of the legend, in reading order down the columns.
        slots_for: every slot has room for any of these names, so that pictures of one size with
            changing entries keep one layout.
        slots: room for this many entries, also where there are fewer.

    Returns:
        The picture and the legend in one, uint8, RGB.
    """
    height, width = picture.shape[:2]
    style = _Style(height, width, [*(entry.name for entry in entries), *slots_for])
    texts = [style.wrap(entry.name) for entry in entries]
    reserved = [style.wrap(name) for name in slots_for]
    name = max((style.measure(line) for lines in texts + reserved for line in lines), default=0)
    column = style.swatch + style.gap + name + style.gap + style.share
    tallest = max(map(len, reserved), default=1)
    rows = [max(len(lines), tallest) for lines in texts] + [tallest] * (slots - len(entries))
    heights = [style.line * row + style.row_gap for row in rows]
    below = width > 1.2 * height
    if below:
        columns = (width - style.margin) // (column + style.margin + style.gap)
        columns = max(1, min(columns, len(heights)))
    else:
        columns = max(1, -(-sum(heights) // max(1, height - 2 * style.margin)))
    positions, panel_height = _place(heights, columns)
    columns = max((across + 1 for across, _ in positions), default=1)
    pitch = column + style.margin + style.gap
    panel = (columns * pitch + style.margin, panel_height + 2 * style.margin - style.row_gap)
    if below:
        pitch = max(pitch, (width - style.margin) // columns)
        size, origin = (max(width, panel[0]), height + panel[1]), (0, height)
    else:
        size, origin = (width + panel[0], max(height, panel[1])), (width, 0)
    canvas = Image.new("RGB", size, PAPER)
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for entry, lines, (across, down) in zip(entries, texts, positions, strict=False):
        corner = (origin[0] + style.margin + across * pitch, origin[1] + style.margin + down)
        _draw_entry(draw, corner, entry, lines, column=column, style=style)
    return np.asarray(canvas)


def _place(heights: Sequence[int], columns: int) -> tuple[list[tuple[int, int]], int]:
    """Fill columns from top to bottom with rows of these heights.

    Returns:
        Column and vertical offset of each row, and the height of the tallest column.
    """
    limit = max([*heights, -(-sum(heights) // max(columns, 1))], default=0)
    while True:
        positions, across, down = [], 0, 0
        for height in heights:
            if down and down + height > limit:
                across, down = across + 1, 0
            positions.append((across, down))
            down += height
        if across < max(columns, 1):
            bottoms = (y + height for (_, y), height in zip(positions, heights, strict=True))
            return positions, max(bottoms, default=0)
        limit += 1


def _draw_entry(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    entry: LegendEntry,
    lines: Sequence[str],
    *,
    column: int,
    style: _Style,
) -> None:
    left, top = corner
    middle = top + style.line // 2
    box = (left, middle - style.swatch // 2, left + style.swatch, middle + style.swatch // 2)
    draw.rounded_rectangle(box, radius=max(2, style.swatch // 5), fill=tuple(map(int, entry.color)))
    for number, line in enumerate(lines):
        at = (left + style.swatch + style.gap, middle + number * style.line)
        draw.text(at, line, fill=INK, font=style.font, anchor="lm")
    draw.text((left + column, middle), entry.percentage, fill=QUIET, font=style.font, anchor="rm")
