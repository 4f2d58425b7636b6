"""Colours and patterns that give a thing its attribute.

Lengths are fractions of the shorter image side, so that a pattern looks the same at every size.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

from .classes import COLOURS

Colour = tuple[float, float, float]

# Hue in degrees, saturation, value.
_HSV: dict[str, Colour] = {
    "red": (358, 0.80, 0.86),
    "blue": (221, 0.80, 0.82),
    "yellow": (51, 0.84, 1.0),
    "green": (131, 0.70, 0.62),
    "purple": (284, 0.66, 0.68),
    "orange": (24, 0.86, 0.95),
    "navy": (235, 0.62, 0.34),
    "white": (45, 0.04, 0.98),
    "pink": (343, 0.32, 0.98),
    "mint": (160, 0.26, 0.95),
}
# A pattern pairs a dark with a light colour: the pattern, not the colours, must tell it.
_DARK = ("red", "blue", "green", "purple", "navy")
_LIGHT = ("yellow", "white", "pink", "mint")


def vary_colour(rng: np.random.Generator, name: str) -> Colour:
    """Draw one shade of a named colour.

    Args:
        rng: Source of randomness; three numbers are taken.
        name: A colour word of the palette, for example ``"red"``.

    Returns:
        Red, green and blue in 0..255.
    """
    hue, saturation, value = _HSV[name]
    hue = (hue + rng.uniform(-5, 5)) % 360 / 360
    saturation = np.clip(saturation * rng.uniform(0.9, 1.1), 0, 1)
    value = np.clip(value * rng.uniform(0.92, 1.06), 0, 1)
    red, green, blue = colorsys.hsv_to_rgb(hue, float(saturation), float(value))
    return 255 * red, 255 * green, 255 * blue


@dataclass(frozen=True)
class Paint:
    """What covers the body of a thing: one colour, or two in a pattern.

    Attributes:
        pattern: ``"plain"``, ``"striped"``, ``"dotted"`` or ``"checked"``.
        colours: Ground colour and pattern colour (equal when plain), each RGB in 0..255.
        cell: Width of a stripe, of a square or of a dot.
        angle: Direction of the pattern in radians.
        origin: Point (x, y) through which the pattern runs.
        extent: Height of the thing; sets how fast the shading darkens downwards.
    """

    pattern: str
    colours: tuple[Colour, Colour]
    cell: float
    angle: float
    origin: tuple[float, float]
    extent: float

    def colours_at(self, x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
        """Colour of every point of a grid.

        Args:
            x: 1 x W horizontal positions.
            y: H x 1 vertical positions.
            pixel: Size of a pixel, over which the edges of the pattern are softened.

        Returns:
            H x W x 3 float32 in about 0..255.
        """
        dx, dy = x - self.origin[0], y - self.origin[1]
        light = np.clip(0.97 - 0.2 * (dy + 0.35 * dx) / self.extent, 0.8, 1.14)[..., None]
        ground = np.asarray(self.colours[0], np.float32)
        if self.pattern == "plain":
            return light * ground
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        inside = _PATTERNS[self.pattern](cos * dx + sin * dy, cos * dy - sin * dx, self.cell)
        amount = np.clip(inside / pixel + 0.5, 0, 1)[..., None]
        return light * (ground + amount * (np.asarray(self.colours[1], np.float32) - ground))


def make_paint(
    rng: np.random.Generator, attribute: str, size: float, base: tuple[float, float], height: float
) -> Paint:
    """Choose a paint that shows an attribute.

    Args:
        rng: Source of randomness.
        attribute: A colour or pattern word of :data:`classes.ATTRIBUTES`.
        size: Longer side of the thing.
        base: Middle of its lower edge (x, y).
        height: Its height.

    Returns:
        The paint.
    """
    # Same count of draws for every attribute, so that the layout drawn later does not hang on it.
    first, second = rng.integers(len(_DARK)), rng.integers(len(_LIGHT))
    swap, turn, spread = rng.random() < 0.5, rng.integers(-1, 2), rng.uniform(-1, 1)
    if attribute in COLOURS:
        colours = (vary_colour(rng, attribute),) * 2
        return Paint("plain", colours, 1.0, 0.0, base, height)
    pair = (vary_colour(rng, _DARK[first]), vary_colour(rng, _LIGHT[second]))
    # Upright or slanted stripes: level ones would be too few on a flat thing like a car.
    angle = 0.2 * spread + (turn * np.pi / 4 if attribute == "striped" else 0.0)
    # 5 % of the side is 9 pixels at 192: more than one 8 x 8 patch.
    cell = float(np.clip(0.16 * size, 0.05, 0.075))
    return Paint(attribute, pair[::-1] if swap else pair, cell, float(angle), base, height)


def _wave(u: np.ndarray, cell: float) -> np.ndarray:
    """Signed distance to the next edge of stripes: positive on every second stripe."""
    return cell / 2 - np.abs(np.mod(u + cell / 2, 2 * cell) - cell)


def _stripes(u: np.ndarray, v: np.ndarray, cell: float) -> np.ndarray:
    return _wave(u, cell)


def _dots(u: np.ndarray, v: np.ndarray, cell: float) -> np.ndarray:
    pitch = 1.75 * cell
    row = np.floor(v / pitch)
    du = np.mod(u + pitch / 2 * np.mod(row, 2), pitch) - pitch / 2
    dv = v - (row + 0.5) * pitch
    return 0.58 * cell - np.hypot(du, dv)


def _checks(u: np.ndarray, v: np.ndarray, cell: float) -> np.ndarray:
    across, down = _wave(u, cell), _wave(v, cell)
    return np.sign(across * down) * np.minimum(np.abs(across), np.abs(down))


_PATTERNS = {"striped": _stripes, "dotted": _dots, "checked": _checks}
