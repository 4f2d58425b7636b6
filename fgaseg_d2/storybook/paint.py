"""Colours and patterns of the things.

Lengths are fractions of the shorter image side, so that a pattern looks the same at every size.
"""

import colorsys
import math
from dataclasses import dataclass

import numpy as np

from .classes import PLAIN, Product
from .dice import Dice

Color = tuple[int, int, int]

# Hue in degrees, saturation, value.
_HSV: dict[str, tuple[float, float, float]] = {
    "red": (358, 0.80, 0.86),
    "blue": (221, 0.80, 0.82),
    "yellow": (51, 0.84, 0.97),
    "green": (131, 0.70, 0.62),
    "purple": (284, 0.66, 0.68),
    "white": (45, 0.05, 0.98),
    "brown": (20, 0.48, 0.36),
}


def vary_color(dice: Dice, name: str) -> Color:
    """Draw one shade of a named colour.

    Args:
        dice: Source of randomness; three numbers are taken.
        name: A colour word of the palette, for example ``"red"``.

    Returns:
        Red, green and blue in 0..255.
    """
    hue, saturation, value = _HSV[name]
    hue = (hue + dice.uniform(-5, 5)) % 360 / 360
    saturation = min(saturation * dice.uniform(0.88, 1.12), 1)
    value = min(value * dice.uniform(0.9, 1.08), 1)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def scaled(color: Color, factor: float) -> Color:
    """A colour made darker or brighter by a factor."""
    red, green, blue = (min(255, round(factor * channel)) for channel in color)
    return red, green, blue


@dataclass(frozen=True)
class Paint:
    """What covers the body of a thing: its colour, alone or in a pattern with a neutral one.

    Attributes:
        pattern: ``"plain"``, ``"striped"``, ``"dotted"`` or ``"checked"``.
        colors: Ground colour and pattern colour (equal when plain), each RGB in 0..255.
        cell: Width of a stripe, of a square or of a dot.
        direction: Cosine and sine of the pattern's angle.
        origin: Point (x, y) through which the pattern runs.
        extent: Height of the thing; sets how fast the shading darkens downwards.
        light: How much the light comes from the left (negative) or the right, -1 .. 1.
    """

    pattern: str
    colors: tuple[Color, Color]
    cell: float
    direction: tuple[float, float]
    origin: tuple[float, float]
    extent: float
    light: float

    def colors_at(self, x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
        """Colour of every point of a grid.

        Args:
            x: 1 x W horizontal positions, float32.
            y: H x 1 vertical positions, float32.
            pixel: Size of a pixel, over which the edges of the pattern are softened.

        Returns:
            H x W x 3 float32 in about 0..255.
        """
        dx, dy = x - self.origin[0], y - self.origin[1]
        shade = (dy - self.light * dx) * (0.2 / self.extent)
        light = np.clip(0.96 - shade, 0.78, 1.12)[..., None]
        ground = np.array(self.colors[0], np.float32)
        if self.pattern == PLAIN:
            return light * ground
        cos, sin = self.direction
        inside = _PATTERNS[self.pattern](cos * dx + sin * dy, cos * dy - sin * dx, self.cell)
        amount = np.clip(inside / pixel + 0.5, 0, 1)[..., None]
        return light * (ground + amount * (np.array(self.colors[1], np.float32) - ground))


def make_paint(
    dice: Dice,
    product: Product,
    *,
    size: float,
    middle: tuple[float, float],
    height: float,
    light: float,
) -> Paint:
    """Choose a paint that shows a colour and a pattern.

    Args:
        dice: Source of randomness.
        product: What to show.
        size: Longer side of the thing.
        middle: Its middle (x, y).
        height: Its height.
        light: How much the light comes from the left or the right, -1 .. 1.

    Returns:
        The paint.
    """
    # A neutral partner, so that the pattern has one colour to be named by.
    neutral = vary_color(dice, "brown" if product.color == "yellow" else "white")
    color = vary_color(dice, product.color)
    swap, turn, spread = dice.chance(0.4), dice.integer(-1, 2), dice.uniform(-1, 1)
    if product.pattern == PLAIN:
        return Paint(
            PLAIN,
            (color, color),
            cell=1.0,
            direction=(1.0, 0.0),
            origin=middle,
            extent=height,
            light=light,
        )
    # Bright dots on brown would leave more brown than yellow.
    swap = swap and not (product.pattern == "dotted" and product.color == "yellow")
    # Upright or slanted stripes: level ones would be too few on a flat thing like a car.
    angle = 0.2 * spread + (turn * math.pi / 4 if product.pattern == "striped" else 0.0)
    direction = round(math.cos(angle), 6), round(math.sin(angle), 6)
    # 3.6 % of the side is 9 pixels at 256.
    cell = min(max(0.16 * size, 0.036), 0.07)
    pair = (neutral, color) if swap else (color, neutral)
    return Paint(
        product.pattern,
        pair,
        cell=cell,
        direction=direction,
        origin=middle,
        extent=height,
        light=light,
    )


def _wave(u: np.ndarray, cell: float) -> np.ndarray:
    """Signed distance to the next edge of stripes: positive on every second stripe."""
    return cell / 2 - np.abs(_modulo(u + cell / 2, 2 * cell) - cell)


def _modulo(u: np.ndarray, period: float) -> np.ndarray:
    return u - period * np.floor(u / period)


def _stripes(u: np.ndarray, v: np.ndarray, cell: float) -> np.ndarray:
    return _wave(u, cell)


def _dots(u: np.ndarray, v: np.ndarray, cell: float) -> np.ndarray:
    pitch = 1.7 * cell
    row = np.floor(v / pitch)
    du = _modulo(u + pitch / 2 * _modulo(row, 2.0), pitch) - pitch / 2
    dv = v - (row + 0.5) * pitch
    return 0.58 * cell - np.sqrt(du * du + dv * dv)


def _checks(u: np.ndarray, v: np.ndarray, cell: float) -> np.ndarray:
    across, down = _wave(u, cell), _wave(v, cell)
    return np.sign(across * down) * np.minimum(np.abs(across), np.abs(down))


_PATTERNS = {"striped": _stripes, "dotted": _dots, "checked": _checks}
