"""A contact sheet: a picture and its result, and below them a row of maps for every word."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .fonts import font_for
from .legend import INK, QUIET, LegendEntry, wrap_text
from .overlay import draw_overlay
from .route_panels import PointPanels, draw_routes
from .sheet_parts import (
    GAP,
    MARGIN,
    SMALL,
    TEXT,
    TITLE,
    blank_strip,
    fitted,
    resized,
    text_height,
    write_lines,
)

_SIDE, _MIN_SIDE = 300, 60  # longer side of a map: as a rule, and on a sheet of very many words
_PIXELS = 3e7  # of a sheet, about, where many words make the maps smaller
_HEADER = 210  # least width of a column, for its title and colour bar
_NAMES = 220  # width of the names beside the maps
_PICTURE = 480  # height of picture and result, at most
_MISSING = (233, 236, 239)


@dataclasses.dataclass(frozen=True)
class Column:
    """Maps of one kind, which share a scale of colours.

    Args:
        title, note: what stands above.
        maps: one a row: h x w of real numbers, NaN where there is none; or why there is no map.
    """

    title: str
    note: str
    maps: Sequence[np.ndarray | str]

    @property
    def limits(self) -> tuple[float, float] | None:
        """Smallest and largest value of all maps, None if there is no map."""
        maps = [values for values in self.maps if not isinstance(values, str)]
        if not maps:
            return None
        return min(float(np.nanmin(m)) for m in maps), max(float(np.nanmax(m)) for m in maps)


def draw_contact_sheet(
    image: np.ndarray,
    labels: np.ndarray,
    colors: np.ndarray,
    *,
    heading: tuple[str, str],
    rows: Sequence[LegendEntry],
    columns: Sequence[Column],
    routes: PointPanels | None = None,
) -> np.ndarray:
    """Draw picture and result side by side, and below them the routes of a point and the rows.

    The colours (viridis) go from the smallest value of a column to the largest; both stand at its
    colour bar. Maps have the shape of the picture, and are smaller on a sheet of many rows.

    Args:
        image: H x W x 3, uint8, RGB.
        labels: H x W, class indices.
        colors: K x 3, uint8, RGB, of the classes.
        heading: title, and a line below it.
        rows: name, colour and share of each word, from top to bottom.
        columns: maps of the rows.
        routes: of a point; None where the model has none.

    Returns:
        A picture, uint8, RGB.
    """
    sheet = _Sheet(labels.shape, heading, rows, columns)
    strips = [sheet.heading(heading), sheet.pictures(image, labels, colors)]
    if routes is not None:
        strips.append(draw_routes(image, routes, sheet.width))
    strips += [sheet.titles(), *(sheet.row(number) for number in range(len(rows)))]
    return np.vstack([*strips, sheet.bottom()])


class _Sheet:
    """The parts of a sheet, strips of one width that lie below each other."""

    def __init__(
        self,
        shape: tuple[int, ...],
        heading: tuple[str, str],
        rows: Sequence[LegendEntry],
        columns: Sequence[Column],
    ) -> None:
        text = "".join([*heading, *(row.name for row in rows)])
        self.text, self.small, self.title = (font_for(text, s) for s in (TEXT, SMALL, TITLE))
        self.shape, self.rows, self.columns = shape, rows, columns
        self.limits = [column.limits for column in columns]
        room = int((_PIXELS / len(rows) / (len(columns) + 1)) ** 0.5)
        side = max(_MIN_SIDE, min(_SIDE, room))
        self.panel = fitted(shape, side, side)
        pitch = max(self.panel[0], _HEADER) + GAP
        left = MARGIN + _NAMES + GAP
        self.lefts = [left + pitch * number for number in range(len(columns))]
        self.width = left + pitch * len(columns) - GAP + MARGIN

    def heading(self, lines: tuple[str, str]) -> np.ndarray:
        """Title and the line below."""
        room = self.width - 2 * MARGIN
        titles, notes = wrap_text(lines[0], self.title, room), wrap_text(lines[1], self.text, room)
        strip = self._strip(
            MARGIN + text_height(titles, self.title) + text_height(notes, self.text) + GAP
        )
        draw = ImageDraw.Draw(strip)
        top = write_lines(draw, (MARGIN, MARGIN), titles, self.title, INK)
        write_lines(draw, (MARGIN, top), notes, self.text, QUIET)
        return np.asarray(strip)

    def pictures(self, image: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
        """The picture and its result."""
        size = fitted(self.shape, (self.width - 2 * MARGIN - GAP) // 2, _PICTURE)
        small = resized(image, size)
        labels = cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
        names = [""] * len(colors)
        result = draw_overlay(small, labels, names, colors, legend="none")
        strip = self._strip(size[1] + GAP)
        strip.paste(Image.fromarray(small), (MARGIN, 0))
        # A small overlay comes enlarged by a whole factor.
        strip.paste(Image.fromarray(resized(result, size)), (MARGIN + size[0] + GAP, 0))
        return np.asarray(strip)

    def titles(self) -> np.ndarray:
        """What stands above the columns: title, note and colour bar with its ends' values."""
        lines = [text_height([""], font) for font in (self.text, self.small, self.small)]
        strip = self._strip(GAP + sum(lines) + GAP // 2)
        draw = ImageDraw.Draw(strip)
        for column, limits, left in zip(self.columns, self.limits, self.lefts, strict=True):
            top = write_lines(draw, (left, GAP), [column.title], self.text, INK)
            top = write_lines(draw, (left, top), [column.note], self.small, QUIET)
            if limits is None:
                continue
            texts = _readable(limits)
            widths = [round(self.small.getlength(text)) for text in texts]
            bar = (_HEADER - sum(widths) - GAP, SMALL)
            shades = np.linspace(0, 1, bar[0], dtype=np.float32)
            gradient = Image.fromarray(_colored(np.tile(shades, (bar[1], 1))))
            middle = top + SMALL // 2 + 2
            draw.text((left, middle), texts[0], fill=QUIET, font=self.small, anchor="lm")
            strip.paste(gradient, (left + widths[0] + GAP // 2, middle - SMALL // 2))
            end = (left + _HEADER, middle)
            draw.text(end, texts[1], fill=QUIET, font=self.small, anchor="rm")
        return np.asarray(strip)

    def row(self, number: int) -> np.ndarray:
        """A word with its maps."""
        entry, indent = self.rows[number], round(1.5 * TEXT)
        lines = wrap_text(entry.name, self.text, _NAMES - indent)
        height = max(self.panel[1], text_height(lines, self.text) + text_height([""], self.small))
        strip = self._strip(height + GAP)
        draw = ImageDraw.Draw(strip)
        box = (MARGIN, 3, MARGIN + TEXT, 3 + TEXT)
        draw.rounded_rectangle(box, radius=4, fill=tuple(map(int, entry.color)))
        top = write_lines(draw, (MARGIN + indent, 0), lines, self.text, INK)
        share = entry.percentage if entry.share else "no pixel"
        write_lines(draw, (MARGIN + indent, top), [share], self.small, QUIET)
        for column, limits, left in zip(self.columns, self.limits, self.lefts, strict=True):
            values = column.maps[number]
            if limits is None or isinstance(values, str):
                reason = str(values)
                across = max(self.panel[0], round(self.small.getlength(reason)) + GAP)
                draw.rectangle((left, 0, left + across - 1, self.panel[1] - 1), fill=_MISSING)
                middle = (left + across // 2, self.panel[1] // 2)
                draw.text(middle, reason, fill=QUIET, font=self.small, anchor="mm")
            else:
                strip.paste(Image.fromarray(_painted(values, limits, self.panel)), (left, 0))
        return np.asarray(strip)

    def bottom(self) -> np.ndarray:
        """The margin."""
        return np.asarray(self._strip(MARGIN - GAP))

    def _strip(self, height: int) -> Image.Image:
        return blank_strip(self.width, height)


def _painted(values: np.ndarray, limits: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """A map in colours, at this width and height."""
    there = ~np.isnan(values)
    scaled = (np.where(there, values, limits[0]) - limits[0]) / max(limits[1] - limits[0], 1e-12)
    colored = _colored(resized(scaled.astype(np.float32), size))
    there = cv2.resize(there.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    colored[there == 0] = _MISSING
    return colored


def _colored(shades: np.ndarray) -> np.ndarray:
    """Shades h x w in [0, 1] -> viridis, h x w x 3, uint8, RGB."""
    levels = np.clip(np.rint(255 * shades), 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def _readable(limits: tuple[float, float]) -> list[str]:
    """Numbers with as many decimals as their distance needs."""
    span = limits[1] - limits[0]
    decimals = 2 if span <= 0 else min(8, max(0, 2 - round(math.log10(span))))
    return [f"{limit:.{decimals}f}" for limit in limits]
