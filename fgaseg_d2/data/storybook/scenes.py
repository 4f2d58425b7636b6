"""Storybook scenes: things of given kinds and looks, placed in a landscape."""

from dataclasses import dataclass, replace

import numpy as np

from .canvas import OUTLINE_WIDTH, Canvas
from .classes import (
    CLASS_IDS,
    HELD_OUT_COMBOS,
    PATTERNS,
    SEEN_COMBOS,
    SKY_THINGS,
    WATER_THINGS,
    Combo,
)
from .landscape import Terrain, draw_terrain, plan_terrain
from .paint import make_paint
from .shapes import SHAPES

_OUTLINE = (52, 44, 52)
_WATER_SCENES = 0.5  # share of scenes with a sea
_MAX_COVERED = 0.3  # share of a thing's box that another thing may cover

# Smallest and largest length of the longer side.
_SIZES: dict[str, tuple[float, float]] = {
    "house": (0.28, 0.42),
    "tree": (0.3, 0.44),
    "car": (0.28, 0.4),
    "flower": (0.3, 0.42),
    "umbrella": (0.27, 0.38),
    "mushroom": (0.22, 0.34),
    "cat": (0.27, 0.38),
    "boat": (0.26, 0.38),
    "fish": (0.25, 0.36),
    "bird": (0.24, 0.34),
    "balloon": (0.28, 0.4),
}
# Width and height in units of the longer side.
_PROPORTIONS: dict[str, tuple[float, float]] = {
    "house": (1.0, 1.0),
    "tree": (0.8, 1.0),
    "car": (1.0, 0.6),
    "flower": (0.76, 1.0),
    "umbrella": (1.0, 1.0),
    "mushroom": (1.0, 0.92),
    "cat": (0.75, 1.0),
    "boat": (1.0, 1.0),
    "fish": (1.0, 0.62),
    "bird": (1.0, 0.9),
    "balloon": (0.78, 1.0),
}


@dataclass
class Scene:
    """A picture with its label map.

    Attributes:
        image: H x W x 3 uint8, RGB.
        label: H x W uint8, positions in :data:`classes.ALL_CLASSES`; 255 means ignore.
    """

    image: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Placement:
    """A thing in a scene; lengths in units of the shorter image side.

    Attributes:
        combo: What it is and how it looks.
        x: Middle of its lower edge, horizontally.
        y: Its lower edge.
        size: Its longer side.
        tilt: Clockwise turn in radians.
        mirrored: Whether left and right are exchanged.
    """

    combo: Combo
    x: float
    y: float
    size: float
    tilt: float
    mirrored: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, without the tilt."""
        width, height = _PROPORTIONS[self.combo.thing]
        half = 0.5 * width * self.size
        return self.x - half, self.y - height * self.size, self.x + half, self.y


def draw_scene(seed: int, height: int = 256, width: int = 256, held_out: bool = False) -> Scene:
    """Draw one scene; the same arguments always give the same pixels.

    Args:
        seed: Any non-negative integer.
        height: Rows in pixels, at least 32. Scenes of the same seed and shape differ in sharpness
            only.
        width: Columns in pixels, at least 32.
        held_out: Whether the scene shows held-out classes (at least one, about half of its things)
            or only seen ones.

    Returns:
        The scene.

    Raises:
        ValueError: If the seed is negative or a side is too short.
    """
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, got {seed}")
    if min(height, width) < 32:
        raise ValueError(f"expected sides of at least 32 pixels, got {height} x {width}")
    # One generator each, so that textures can change without moving a thing.
    layout, looks, texture = np.random.default_rng(seed).spawn(3)
    canvas = Canvas(height, width)
    water = layout.random() < _WATER_SCENES
    terrain = plan_terrain(layout, canvas.height, canvas.width, water)
    combos = _choose_combos(layout, int(layout.integers(3, 9)), water, held_out)
    things = _place(layout, combos, terrain)
    draw_terrain(canvas, terrain, texture)
    for thing, look in zip(things, looks.spawn(len(things)), strict=True):
        _draw_thing(canvas, thing, look)
    _light(canvas.image, texture)
    return Scene(canvas.image, canvas.label)


def _choose_combos(
    rng: np.random.Generator, count: int, water: bool, held_out: bool
) -> list[Combo]:
    """Draw combos such that over all scenes each of a pool is equally likely."""
    combos = []
    for index in range(count):
        from_held_out = held_out and (index == 0 or rng.random() < 0.5)
        pool = HELD_OUT_COMBOS if from_held_out else SEEN_COMBOS
        wet = [combo for combo in pool if combo.thing in WATER_THINGS]
        dry = [combo for combo in pool if combo.thing not in WATER_THINGS]
        # Scenes with a sea show water things so much more often that the others' lack is made up.
        swims = rng.random() < len(wet) / len(pool) / _WATER_SCENES
        choices = wet if water and swims else dry
        combos.append(choices[rng.integers(len(choices))])
    return combos


def _place(rng: np.random.Generator, combos: list[Combo], terrain: Terrain) -> list[Placement]:
    """Find a spot for each combo where no thing hides another; drop what finds none."""
    placed: list[Placement] = []
    for combo in combos:
        # Later tries are smaller, so that a crowded scene still takes all its things.
        for attempt in range(24):
            thing = _propose(rng, combo, terrain)
            thing = replace(thing, size=thing.size * (1 - 0.012 * attempt))
            if all(_covered(thing, other) < _MAX_COVERED for other in placed):
                placed.append(thing)
                break
    # What stands lower is nearer and covers what stands behind it.
    return sorted(placed, key=lambda thing: (thing.combo.thing not in SKY_THINGS, thing.y))


def _propose(rng: np.random.Generator, combo: Combo, terrain: Terrain) -> Placement:
    low, high = _SIZES[combo.thing]
    if combo.attribute in PATTERNS:
        low = 0.5 * (low + high)  # a pattern needs room to show
    size = rng.uniform(low, high)
    x, depth = rng.uniform(0.1, terrain.width - 0.1), rng.random()
    tall = size * _PROPORTIONS[combo.thing][1]
    tilt, mirrored = rng.uniform(-0.06, 0.06), bool(rng.random() < 0.5)
    if combo.thing in SKY_THINGS:
        y = tall + 0.02 + depth * max(terrain.horizon + 0.05 - tall, 0.05)
        tilt *= 3
    elif combo.thing in WATER_THINGS:
        dip = 0.75 * tall if combo.thing == "fish" else 0.06
        y = terrain.horizon + dip + depth * max(terrain.shore - terrain.horizon - dip, 0.04)
        tilt *= 3 if combo.thing == "fish" else 1
    elif combo.thing == "car" and "road" in terrain.extras:
        y = float(terrain.road_at(np.float64(x))) + (depth - 0.2) * 0.4 * terrain.road[1]
    else:
        top = terrain.shore + 0.07
        y = top + depth * (terrain.height - 0.03 - top)
    if combo.thing == "umbrella":
        tilt *= 4
    return Placement(combo, float(x), float(y), float(size), float(tilt), mirrored)


def _covered(first: Placement, second: Placement) -> float:
    """Overlap of two boxes in units of the smaller one."""
    a, b = first.box, second.box
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(across, 0.0) * max(down, 0.0) / smaller


def _draw_thing(canvas: Canvas, thing: Placement, rng: np.random.Generator) -> None:
    stretch = np.array([rng.uniform(0.92, 1.06), rng.uniform(0.94, 1.04)])
    flip = np.array([-1.0 if thing.mirrored else 1.0, 1.0])
    cos, sin = np.cos(thing.tilt), np.sin(thing.tilt)
    turn = thing.size * np.array([[cos, sin], [-sin, cos]])
    tall = thing.size * _PROPORTIONS[thing.combo.thing][1]
    paint = make_paint(rng, thing.combo.attribute, thing.size, (thing.x, thing.y - tall / 2), tall)
    class_id = CLASS_IDS[thing.combo.name]
    for part in SHAPES[thing.combo.thing](rng):
        polygons = [
            (points * stretch * flip) @ turn + (thing.x, thing.y) for points in part.polygons
        ]
        if part.outlined:
            for points in polygons:
                canvas.line(points, 2 * OUTLINE_WIDTH, _OUTLINE, class_id, closed=True)
        for points in polygons:
            if part.colour is None:
                canvas.fill_painted(points, paint, part.tone, class_id)
            else:
                canvas.fill(points, part.colour, class_id)


def _light(image: np.ndarray, rng: np.random.Generator) -> None:
    """Tint the whole picture a little and add paper grain, in place."""
    tint = rng.uniform(0.96, 1.03, size=3) * rng.uniform(0.94, 1.03)
    grain = rng.integers(-5, 6, size=(64, 64, 1)).astype(np.float32)
    rows, columns = image.shape[:2]
    tiled = np.tile(grain, (rows // 64 + 1, columns // 64 + 1, 1))[:rows, :columns]
    image[:] = np.clip(image * tint.astype(np.float32) + tiled, 0, 255).astype(np.uint8)
