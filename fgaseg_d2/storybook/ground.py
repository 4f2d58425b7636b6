"""Draws the ground with its texture and the small things that lie on it, and the road."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .canvas import Canvas
from .classes import CLASS_IDS
from .dice import Dice
from .geometry import ellipse, speck
from .paint import Color, scaled
from .terrain import Terrain

_COLORS: dict[str, tuple[Color, Color]] = {
    "meadow": ((134, 196, 84), (92, 156, 58)),
    "sand": ((240, 220, 168), (206, 176, 118)),
    "snow": ((232, 241, 254), (176, 196, 230)),
}


@dataclass(frozen=True)
class _Mark:
    """Where a mark is drawn and how.

    Attributes:
        x: Horizontal position.
        y: Vertical position.
        size: Factor of its size; farther is smaller.
        kind: Number in [0, 1) that varies it.
        light: Colour of the ground.
        dark: Its darker companion.
    """

    x: float
    y: float
    size: float
    kind: float
    light: Color
    dark: Color


def draw_ground(canvas: Canvas, terrain: Terrain, dice: Dice) -> None:
    """Draw meadow, sand or snow down to the lower edge of the picture."""
    light, dark = (scaled(c, dice.uniform(0.94, 1.03)) for c in _COLORS[terrain.ground])
    x = np.linspace(-0.02, terrain.width + 0.02, 48)
    edge = np.stack([x, terrain.shore_at(x)], 1)
    corners = [(terrain.width + 0.02, terrain.height + 0.02), (-0.02, terrain.height + 0.02)]
    canvas.fill(np.concatenate([edge, corners]), light, CLASS_IDS[terrain.ground])
    _draw_patches(canvas, terrain, dice, light, dark)
    if "sea" in terrain.extras:
        canvas.line(edge, 0.018, (236, 248, 250))
    area = (terrain.height - terrain.shore) * terrain.width
    density, common, rare = _TEXTURES[terrain.ground]
    spots = dice.points(int(density * area), 4)
    for u, v, kind, choice in spots[np.argsort(spots[:, 1])].tolist():
        sx = u * terrain.width
        sy = float(terrain.shore_at(np.float64(sx))) + 0.02 + v * (terrain.height - terrain.shore)
        draw = rare if choice < 0.06 else common
        size = 1.4 * terrain.scale(sy)
        draw(canvas, _Mark(sx, sy, size=size, kind=kind, light=light, dark=dark))


def _draw_patches(canvas: Canvas, terrain: Terrain, dice: Dice, light: Color, dark: Color) -> None:
    """Large flat spots, a little darker or brighter than the ground."""
    for _ in range(9):
        x, y = dice.uniform(0, terrain.width), dice.uniform(terrain.shore + 0.06, terrain.height)
        reach = 0.3 * terrain.scale(y) * dice.uniform(0.4, 1)
        amount = dice.uniform(-0.15, 0.32)
        red, green, blue = (
            round(max(0.0, min(255.0, a + amount * (b - a))))
            for a, b in zip(light, dark, strict=True)
        )
        # Too near to the shore it would reach over it.
        flat = min(0.22 * reach, y - terrain.shore - 0.03)
        canvas.fill(ellipse(x, y, reach, flat), (red, green, blue))


def _grass(canvas: Canvas, mark: _Mark) -> None:
    if mark.kind > 0.93:
        petals = (255, 250, 250) if mark.kind > 0.96 else (250, 236, 140)
        canvas.fill(speck(mark.x, mark.y, 0.007 * mark.size, 0.006 * mark.size), petals)
        return
    blade = (0.014 + 0.014 * mark.kind) * mark.size
    offsets = np.array([(-0.4, -1.0), (0, 0), (0.1, -1.2), (0, 0), (0.6, -0.9)])
    canvas.line(offsets * blade + (mark.x, mark.y), 0.005, mark.dark)


def _stone(canvas: Canvas, mark: _Mark) -> None:
    radius = (0.01 + 0.013 * mark.kind) * mark.size
    grey = scaled((150, 146, 140), 0.85 + 0.3 * mark.kind)
    canvas.fill(speck(mark.x, mark.y + 0.3 * radius, 1.25 * radius, 0.75 * radius), mark.dark)
    canvas.fill(speck(mark.x, mark.y, 1.1 * radius, 0.75 * radius), grey)
    bright = speck(mark.x - 0.2 * radius, mark.y - 0.2 * radius, 0.5 * radius, 0.28 * radius)
    canvas.fill(bright, scaled(grey, 1.2))


def _grain(canvas: Canvas, mark: _Mark) -> None:
    radius = (0.003 + 0.005 * mark.kind) * mark.size
    if mark.kind > 0.75:  # ripples that the wind has left
        ripple = ellipse(mark.x, mark.y, 6 * radius, 1.4 * radius, 200, 340)
        canvas.line(ripple, 0.005, mark.dark)
        return
    canvas.fill(speck(mark.x, mark.y, radius * 1.4, radius), mark.dark)


def _shell(canvas: Canvas, mark: _Mark) -> None:
    if mark.kind < 0.4:
        _stone(canvas, mark)
        return
    radius = 0.013 * mark.size
    fan = ellipse(mark.x, mark.y, radius, 1.1 * radius, 190, 350)
    canvas.fill(np.concatenate([fan, [(mark.x, mark.y + 0.5 * radius)]]), (250, 226, 214))
    for share in (10, 16, 22):
        rib = np.stack([fan[share], (mark.x, mark.y + 0.5 * radius)])
        canvas.line(rib, 0.003, (206, 160, 146))


def _drift(canvas: Canvas, mark: _Mark) -> None:
    reach = (0.02 + 0.045 * mark.kind) * mark.size
    drift = ellipse(mark.x, mark.y, reach, 0.012 * mark.size, 200, 340)
    canvas.line(drift, 0.005, mark.dark)


def _twig(canvas: Canvas, mark: _Mark) -> None:
    if mark.kind < 0.5:
        _stone(canvas, mark)
        return
    length = 0.035 * mark.size
    stem = np.array([(-0.5, 0.1), (0, 0), (0.3, -0.45), (0, 0), (0.55, -0.1)])
    canvas.line(stem * length + (mark.x, mark.y), 0.005, (122, 98, 82))


_Drawer = Callable[[Canvas, _Mark], None]
# Marks on an area of 1, the common kind and the rare kind.
_TEXTURES: dict[str, tuple[int, _Drawer, _Drawer]] = {
    "meadow": (230, _grass, _stone),
    "sand": (200, _grain, _shell),
    "snow": (90, _drift, _twig),
}


def draw_road(canvas: Canvas, terrain: Terrain, dice: Dice) -> None:
    """Draw a road from the left to the right, with tyre tracks and cracks."""
    x = np.linspace(-0.02, terrain.width + 0.02, 48)
    middle, half = terrain.road_at(x), terrain.road[1] / 2
    upper, lower = np.stack([x, middle - half], 1), np.stack([x, middle + half], 1)
    asphalt = scaled((112, 112, 120), dice.uniform(0.88, 1.1))
    canvas.fill(np.concatenate([upper, lower[::-1]]), asphalt, CLASS_IDS["road"])
    for share in (-0.62, -0.28, 0.3, 0.64):
        track = np.stack([x, middle + share * half], 1)
        canvas.line(track, 0.012, scaled(asphalt, dice.uniform(0.9, 0.97)))
    for edge in (upper, lower):
        canvas.line(edge, 0.01, (74, 74, 82))
    start = dice.uniform(-0.1, 0)
    while start < terrain.width:
        dash = np.linspace(start, start + 0.08, 4)
        canvas.line(np.stack([dash, terrain.road_at(dash)], 1), 0.014, (246, 240, 214))
        start += 0.16
    for _ in range(dice.integer(2, 6)):
        _draw_crack(canvas, terrain, dice, scaled(asphalt, 0.72))


def _draw_crack(canvas: Canvas, terrain: Terrain, dice: Dice, color: Color) -> None:
    x, share = dice.uniform(0, terrain.width), dice.uniform(-0.35, 0.35)
    y = float(terrain.road_at(np.float64(x))) + share * terrain.road[1]
    steps = np.cumsum([(dice.uniform(0.008, 0.02), dice.uniform(-0.01, 0.01)) for _ in range(4)], 0)
    canvas.line(steps + (x, y), 0.004, color)
