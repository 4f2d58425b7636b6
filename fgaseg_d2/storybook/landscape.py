"""Draws what lies behind the ground: sky, sun, clouds, mountains, hills and sea."""

import math

import numpy as np

from .canvas import Canvas
from .classes import CLASS_IDS
from .dice import Dice
from .geometry import ellipse, speck
from .ground import draw_ground, draw_road
from .light import Light
from .paint import scaled
from .terrain import Terrain


def draw_terrain(canvas: Canvas, terrain: Terrain, light: Light, dice: Dice) -> None:
    """Draw all stuff of a scene, from the back to the front.

    Args:
        canvas: What to draw on.
        terrain: What lies where.
        light: The light of the scene; the sky has its colours.
        dice: Source of randomness for shapes and textures.
    """
    _draw_sky(canvas, light)
    painters = {
        "sun": _draw_sun,
        "cloud": _draw_clouds,
        "mountain": _draw_mountains,
        "hill": _draw_hills,
        "sea": _draw_sea,
        "ground": draw_ground,
        "road": draw_road,
    }
    # A source for each keeps one stuff's look independent of what else is in the scene.
    for (name, paint), child in zip(painters.items(), dice.spawn(len(painters)), strict=True):
        if name == "ground" or name in terrain.extras:
            paint(canvas, terrain, child)


def _gradient(rows: int, upper: tuple[int, ...], lower: tuple[int, ...]) -> np.ndarray:
    """Colours that change from row to row, rows x 1 x 3 uint8."""
    depth = (np.arange(rows, dtype=np.float32) / max(rows - 1, 1))[:, None, None]
    first, last = np.array(upper, np.float32), np.array(lower, np.float32)
    return (first + depth * (last - first) + 0.5).astype(np.uint8)


def _draw_sky(canvas: Canvas, light: Light) -> None:
    half = canvas.image.shape[0] // 2
    canvas.image[:half] = _gradient(half, *light.sky)
    canvas.image[half:] = light.sky[1]
    canvas.label[:] = CLASS_IDS["sky"]


def _draw_sun(canvas: Canvas, terrain: Terrain, dice: Dice) -> None:
    x, y, radius = terrain.sun
    angles = np.radians(np.arange(24) * 15 + dice.uniform(0, 30))
    reach = np.where(np.arange(24) % 2, 1.22, 1.6) * radius
    rays = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
    canvas.fill(rays, (255, 216, 92), CLASS_IDS["sun"])
    canvas.fill(ellipse(x, y, radius, radius), (255, 190, 48))
    canvas.fill(
        ellipse(x - 0.1 * radius, y - 0.1 * radius, 0.8 * radius, 0.8 * radius), (255, 206, 70)
    )


_PUFFS = (
    (-0.95, 0.12, 0.5),
    (-0.4, -0.2, 0.62),
    (0.3, -0.3, 0.7),
    (0.95, 0.1, 0.52),
    (0.1, 0.2, 0.6),
)


def _draw_clouds(canvas: Canvas, terrain: Terrain, dice: Dice) -> None:
    for _ in range(dice.integer(2, 5)):
        x = dice.uniform(0.05, 0.95) * terrain.width
        y = dice.uniform(0.1, 0.75) * terrain.horizon
        size, flat = dice.uniform(0.06, 0.17), dice.uniform(0.5, 0.86)
        if "sun" in terrain.extras and abs(x - terrain.sun[0]) < size + 1.2 * terrain.sun[2]:
            x = (x + terrain.width / 2) % terrain.width  # the sun shines between the clouds
        for drop, color in ((0.1, (206, 216, 228)), (0.0, (250, 252, 254))):
            puffs = [
                ellipse(
                    x + size * dx,
                    y + size * flat * (dy + drop),
                    size * radius,
                    size * radius * flat,
                )
                for dx, dy, radius in _PUFFS
            ]
            for puff in puffs:
                canvas.fill(puff, color)
            canvas.mark(puffs, CLASS_IDS["cloud"])


def _draw_mountains(canvas: Canvas, terrain: Terrain, dice: Dice) -> None:
    base, tint = terrain.horizon + 0.04, dice.uniform(0.9, 1.08)
    x = dice.uniform(-0.2, 0.0)
    while x < terrain.width:
        half = dice.uniform(0.2, 0.34)
        tall = dice.uniform(0.55, 0.92) * min(terrain.horizon, 0.45)
        peak = np.array([x + half, base - tall])
        left, right = np.array([x - 0.06, base]), np.array([x + 2 * half + 0.06, base])
        fold = np.array([x + half * dice.uniform(0.85, 1.15), base])
        canvas.fill(
            np.stack([left, peak, right]), scaled((150, 138, 158), tint), CLASS_IDS["mountain"]
        )
        canvas.fill(np.stack([peak, right, fold]), scaled((116, 106, 132), tint))
        for _ in range(4):  # gullies
            foot = left + dice.uniform(0.15, 0.85) * (fold - left)
            start, end = dice.uniform(0.35, 0.6), dice.uniform(0.7, 0.95)
            gully = np.stack([peak + start * (foot - peak), peak + end * (foot - peak)])
            canvas.line(gully, 0.006, scaled((128, 116, 140), tint))
        share = np.array([0.3, 0.2, 0.3, 0.19, 0.3])[:, None]
        feet = np.stack([left, 0.6 * left + 0.4 * fold, fold, 0.5 * fold + 0.5 * right, right])
        cap = np.concatenate([peak[None], peak + share * (feet - peak)])
        canvas.fill(cap, (240, 242, 248))
        x += half * dice.uniform(1.1, 1.5)


def _draw_hills(canvas: Canvas, terrain: Terrain, dice: Dice) -> None:
    x = dice.uniform(-0.15, 0.05)
    while x < terrain.width:
        half = dice.uniform(0.26, 0.4)
        tall = dice.uniform(0.36, 0.62) * min(terrain.horizon, 0.45)
        middle, base = x + 0.7 * half, terrain.horizon + 0.04
        shade = dice.uniform(0.88, 1.1)
        hill = ellipse(middle, base, half, tall, 180, 360)
        canvas.fill(hill, scaled((60, 128, 98), shade), CLASS_IDS["hill"])
        for _ in range(18):
            angle, reach = dice.uniform(math.pi, 2 * math.pi), dice.uniform(0.2, 0.88)
            bush = dice.uniform(0.006, 0.018)
            place = (
                middle + reach * half * math.cos(angle),
                base + reach * tall * math.sin(angle),
            )
            canvas.fill(speck(*place, bush, 0.8 * bush), scaled((40, 98, 76), shade))
        x += half * dice.uniform(1.0, 1.4)


def _draw_sea(canvas: Canvas, terrain: Terrain, dice: Dice) -> None:
    rows = canvas.image.shape[0]
    top = round(terrain.horizon * canvas.side)
    bottom = min(rows, round((terrain.shore + 0.05) * canvas.side))
    tint = dice.uniform(0.9, 1.08)
    far, near = scaled((36, 112, 158), tint), scaled((52, 158, 186), tint)
    canvas.image[top:bottom] = _gradient(bottom - top, far, near)
    canvas.label[top:bottom] = CLASS_IDS["sea"]
    y = terrain.horizon + 0.025
    steps = np.linspace(0, math.pi, 7)
    while y < terrain.shore + 0.03:
        pitch = 0.045 + 0.12 * (y - terrain.horizon)
        x = dice.uniform(-pitch, 0)
        while x < terrain.width:
            high, length = pitch * dice.uniform(0.1, 0.26), pitch * dice.uniform(0.6, 1.1)
            crest = np.stack([x + length * steps / math.pi, y - high * np.sin(steps)], axis=1)
            bright = dice.chance(0.75)
            canvas.line(crest, 0.006, (166, 220, 230) if bright else scaled(far, 0.8))
            x += pitch * dice.uniform(1.3, 2.8)
        y += 0.75 * pitch
