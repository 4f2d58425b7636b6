"""The stuff of a scene: sky, sun, clouds, mountains, hills, sea, ground and road."""

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas
from .classes import CLASS_IDS
from .geometry import ellipse
from .paint import Colour

_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((122, 190, 240), (206, 234, 250)),
    ((150, 206, 244), (226, 240, 246)),
    ((138, 176, 226), (250, 218, 196)),
    ((160, 186, 210), (224, 230, 234)),
)
_GROUND: dict[str, tuple[Colour, Colour]] = {
    "meadow": ((134, 196, 84), (92, 156, 58)),
    "sand": ((240, 220, 168), (206, 176, 118)),
    "snow": ((242, 246, 252), (190, 206, 230)),
}


@dataclass(frozen=True)
class Terrain:
    """Where the stuff of a scene lies; lengths in units of the shorter side.

    Attributes:
        width: Width of the scene.
        height: Height of the scene.
        horizon: Where the sky ends.
        shore: Where the ground begins; equals the horizon without a sea.
        ground: ``"meadow"``, ``"sand"`` or ``"snow"``.
        extras: What else there is, of sun, cloud, mountain, hill, sea, road.
        sun: Centre (x, y) and radius of the sun.
        road: Middle (y) and width of the road.
        phase: Shifts the waves of shore and road, radians.
    """

    width: float
    height: float
    horizon: float
    shore: float
    ground: str
    extras: frozenset[str]
    sun: tuple[float, float, float]
    road: tuple[float, float]
    phase: float

    def shore_at(self, x: np.ndarray) -> np.ndarray:
        """Upper edge of the ground at horizontal positions ``x``."""
        return self.shore + 0.018 * np.sin(4.2 * x + self.phase)

    def road_at(self, x: np.ndarray) -> np.ndarray:
        """Middle line of the road at horizontal positions ``x``."""
        return self.road[0] + 0.02 * np.sin(3.1 * x + 2 * self.phase)


def plan_terrain(rng: np.random.Generator, height: float, width: float, water: bool) -> Terrain:
    """Choose the stuff of a scene and where it lies.

    Args:
        rng: Source of randomness.
        height: Height of the scene in units of its shorter side.
        width: Width of the scene in the same unit.
        water: Whether the scene has a sea.

    Returns:
        The terrain, with 3 to 5 stuff classes.
    """
    horizon = height * rng.uniform(0.34, 0.48)
    shore = horizon + height * rng.uniform(0.2, 0.3) if water else horizon
    odds = (0.25, 0.5, 0.25) if water else (0.5, 0.2, 0.3)
    ground = ("meadow", "sand", "snow")[rng.choice(3, p=odds)]
    far = ("mountain", "hill")[rng.integers(2)]
    candidates = ["sun", "cloud", far, "road"]
    count = int(rng.integers(1, 3)) if water else int(rng.integers(2, 4))
    extras = {candidates[index] for index in rng.permutation(len(candidates))[:count]}
    if water:
        extras.add("sea")
    radius = rng.uniform(0.065, 0.095)
    sun = (rng.uniform(0.12, width - 0.12), rng.uniform(0.11, max(horizon - 0.2, 0.12)), radius)
    band = rng.uniform(0.13, 0.17)
    nearest = shore + 0.6 * band + 0.04
    middle = rng.uniform(nearest, max(height - 0.8 * band, nearest))
    phase = rng.uniform(0, 2 * np.pi)
    return Terrain(
        width, height, horizon, shore, ground, frozenset(extras), sun, (middle, band), phase
    )


def draw_terrain(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    """Draw all stuff of a scene, from the back to the front.

    Args:
        canvas: What to draw on.
        terrain: What lies where.
        rng: Source of randomness for shapes and textures.
    """
    _draw_sky(canvas, rng)
    painters = {
        "sun": _draw_sun,
        "cloud": _draw_clouds,
        "mountain": _draw_mountains,
        "hill": _draw_hills,
        "sea": _draw_sea,
    }
    # A generator for each keeps one stuff's look independent of what else is in the scene.
    for painter, child in zip(painters.items(), rng.spawn(len(painters)), strict=True):
        if painter[0] in terrain.extras:
            painter[1](canvas, terrain, child)
    _draw_ground(canvas, terrain, rng)
    if "road" in terrain.extras:
        _draw_road(canvas, terrain, rng)


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255.0, factor * channel) for channel in colour)
    return red, green, blue


def _draw_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    top, bottom = (np.array(c, np.float32) for c in _SKIES[rng.integers(len(_SKIES))])
    rows = canvas.image.shape[0]
    depth = np.clip(np.arange(rows, dtype=np.float32) / (0.5 * rows), 0, 1)[:, None, None]
    canvas.image[:] = (top + depth * (bottom - top)).astype(np.uint8)
    canvas.label[:] = CLASS_IDS["sky"]


def _draw_sun(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    x, y, radius = terrain.sun
    turn = rng.uniform(0, 30)
    angles = np.radians(np.arange(24) * 15 + turn)
    reach = np.where(np.arange(24) % 2, 1.22, 1.6) * radius
    rays = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
    canvas.fill(rays, (255, 216, 92), CLASS_IDS["sun"])
    canvas.fill(ellipse(x, y, radius, radius), (255, 190, 48))
    canvas.fill(
        ellipse(x - 0.1 * radius, y - 0.1 * radius, 0.8 * radius, 0.8 * radius), (255, 206, 70)
    )


def _draw_clouds(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 4))):
        x, y = rng.uniform(0.05, 0.95) * terrain.width, rng.uniform(0.1, 0.75) * terrain.horizon
        size = rng.uniform(0.11, 0.17)
        if "sun" in terrain.extras and abs(x - terrain.sun[0]) < size + 1.2 * terrain.sun[2]:
            x = (x + terrain.width / 2) % terrain.width  # the sun shines between the clouds
        puffs = [
            (-0.95, 0.12, 0.5),
            (-0.4, -0.2, 0.62),
            (0.3, -0.3, 0.7),
            (0.95, 0.1, 0.52),
            (0.1, 0.2, 0.6),
        ]
        for drop, colour in ((0.1, (206, 216, 228)), (0.0, (250, 252, 254))):
            for dx, dy, radius in puffs:
                puff = ellipse(
                    x + size * dx, y + size * (dy + drop), size * radius, size * radius * 0.82
                )
                canvas.fill(puff, colour, CLASS_IDS["cloud"])


def _draw_mountains(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    base, tint = terrain.horizon + 0.04, rng.uniform(0.9, 1.08)
    x = rng.uniform(-0.2, 0.0)
    while x < terrain.width:
        half, tall = rng.uniform(0.22, 0.34), rng.uniform(0.62, 0.92) * min(terrain.horizon, 0.45)
        peak = np.array([x + half, base - tall])
        left, right = np.array([x - 0.06, base]), np.array([x + 2 * half + 0.06, base])
        fold = np.array([x + half * rng.uniform(0.85, 1.15), base])
        canvas.fill(
            np.stack([left, peak, right]), _scaled((150, 138, 158), tint), CLASS_IDS["mountain"]
        )
        canvas.fill(np.stack([peak, right, fold]), _scaled((116, 106, 132), tint))
        share = np.array([0.3, 0.2, 0.3, 0.19, 0.3])[:, None]
        feet = np.stack([left, 0.6 * left + 0.4 * fold, fold, 0.5 * fold + 0.5 * right, right])
        cap = np.concatenate([peak[None], peak + share * (feet - peak)])
        canvas.fill(cap, (240, 242, 248))
        x += half * rng.uniform(1.1, 1.5)


def _draw_hills(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    x = rng.uniform(-0.15, 0.05)
    while x < terrain.width:
        half, tall = rng.uniform(0.26, 0.4), rng.uniform(0.4, 0.62) * min(terrain.horizon, 0.45)
        middle, base = x + 0.7 * half, terrain.horizon + 0.04
        shade = rng.uniform(0.88, 1.08)
        canvas.fill(
            ellipse(middle, base, half, tall, 180, 360),
            _scaled((60, 128, 98), shade),
            CLASS_IDS["hill"],
        )
        for _ in range(14):
            angle, reach = rng.uniform(np.pi, 2 * np.pi), rng.uniform(0.2, 0.85)
            bx, by = middle + reach * half * np.cos(angle), base + reach * tall * np.sin(angle)
            canvas.fill(ellipse(bx, by, 0.016, 0.013), _scaled((40, 98, 76), shade))
        x += half * rng.uniform(1.0, 1.4)


def _draw_sea(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    rows = canvas.image.shape[0]
    top = round(terrain.horizon * canvas.side)
    bottom = min(rows, round((terrain.shore + 0.05) * canvas.side))
    depth = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None, None]
    far, near = np.array((36, 112, 158), np.float32), np.array((52, 158, 186), np.float32)
    canvas.image[top:bottom] = ((far + depth * (near - far)) * rng.uniform(0.92, 1.06)).astype(
        np.uint8
    )
    canvas.label[top:bottom] = CLASS_IDS["sea"]
    y = terrain.horizon + 0.03
    while y < terrain.shore + 0.03:
        pitch = 0.05 + 0.12 * (y - terrain.horizon)
        for x in np.arange(rng.uniform(-pitch, 0), terrain.width, 2.2 * pitch):
            steps = np.linspace(0, np.pi, 7)
            crest = np.stack([x + pitch * steps / np.pi, y - 0.22 * pitch * np.sin(steps)], axis=1)
            canvas.line(crest, 0.007, (166, 220, 230))
        y += 0.75 * pitch


def _draw_ground(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    light, dark = (_scaled(c, rng.uniform(0.95, 1.03)) for c in _GROUND[terrain.ground])
    x = np.linspace(-0.02, terrain.width + 0.02, 48)
    corners = [(terrain.width + 0.02, terrain.height + 0.02), (-0.02, terrain.height + 0.02)]
    edge = np.concatenate([np.stack([x, terrain.shore_at(x)], 1), corners])
    if "sea" in terrain.extras:
        foam = np.stack([x, terrain.shore_at(x)], 1)
        canvas.line(foam, 0.022, (236, 248, 250), CLASS_IDS["sea"])
    canvas.fill(edge, light, CLASS_IDS[terrain.ground])
    area = (terrain.height - terrain.shore) * terrain.width
    count = int((70 if terrain.ground == "snow" else 170) * area)
    spots = rng.random((count, 3))
    for u, v, w in spots[np.argsort(spots[:, 1])]:
        sx = u * terrain.width
        sy = terrain.shore_at(sx) + 0.025 + v * (terrain.height - terrain.shore)
        _GROUND_MARKS[terrain.ground](canvas, sx, sy, (0.6 + 0.8 * v), w, light, dark)


def _mark_grass(
    canvas: Canvas, x: float, y: float, size: float, kind: float, light: Colour, dark: Colour
) -> None:
    if kind > 0.9:
        petals = (255, 250, 250) if kind > 0.95 else (250, 236, 140)
        canvas.fill(ellipse(x, y, 0.009 * size, 0.008 * size), petals)
        return
    blade = 0.024 * size
    tuft = np.array(
        [
            (x - 0.4 * blade, y - blade),
            (x, y),
            (x + 0.1 * blade, y - 1.2 * blade),
            (x, y),
            (x + 0.6 * blade, y - 0.9 * blade),
        ]
    )
    canvas.line(tuft, 0.005, dark)


def _mark_sand(
    canvas: Canvas, x: float, y: float, size: float, kind: float, light: Colour, dark: Colour
) -> None:
    radius = (0.004 + 0.004 * kind) * size
    canvas.fill(ellipse(x, y, radius * 1.4, radius), dark)


def _mark_snow(
    canvas: Canvas, x: float, y: float, size: float, kind: float, light: Colour, dark: Colour
) -> None:
    drift = ellipse(x, y, (0.03 + 0.05 * kind) * size, 0.014 * size, 200, 340)
    canvas.line(drift, 0.006, dark)


_GROUND_MARKS = {"meadow": _mark_grass, "sand": _mark_sand, "snow": _mark_snow}


def _draw_road(canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> None:
    x = np.linspace(-0.02, terrain.width + 0.02, 48)
    middle, half = terrain.road_at(x), terrain.road[1] / 2
    upper, lower = np.stack([x, middle - half], 1), np.stack([x, middle + half], 1)
    asphalt = _scaled((112, 112, 120), rng.uniform(0.9, 1.08))
    canvas.fill(np.concatenate([upper, lower[::-1]]), asphalt, CLASS_IDS["road"])
    for edge in (upper, lower):
        canvas.line(edge, 0.01, (74, 74, 82))
    for start in np.arange(rng.uniform(-0.1, 0), terrain.width, 0.16):
        dash = np.linspace(start, start + 0.08, 4)
        canvas.line(np.stack([dash, terrain.road_at(dash)], 1), 0.016, (246, 240, 214))
