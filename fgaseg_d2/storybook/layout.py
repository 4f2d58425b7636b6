"""Which things a scene shows and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from .canvas import fill_polygon
from .classes import PLAIN, SKY_THINGS, WATER_THINGS, Pair, Product
from .dice import Dice
from .geometry import rotate
from .shapes import SHAPES, Part
from .terrain import Terrain

WATER_SCENES = 0.5  # share of scenes with a sea
_MAX_BOX_COVERED = 0.45  # share of the smaller of two boxes that the other may cover
_MIN_VISIBLE = 0.5  # share of a thing's painted part that nearer things must leave visible
_COARSE = 96  # pixels of the shorter side, for counting what is visible

# Longer side of a thing in front, in units of the shorter image side.
_SIZES: dict[str, float] = {
    "house": 0.46,
    "tree": 0.48,
    "car": 0.43,
    "flower": 0.4,
    "umbrella": 0.42,
    "mushroom": 0.38,
    "cat": 0.4,
    "boat": 0.52,
    "fish": 0.42,
    "bird": 0.42,
    "balloon": 0.48,
    "kite": 0.48,
}
_SMALLEST = 0.12
_SMALLEST_PATTERNED = 0.2  # a pattern needs room to show
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
    "kite": (0.6, 1.0),
}
# How far a thing may lean to each side, in radians; others lean by a little.
_TILTS: dict[str, float] = {
    "umbrella": 0.3,
    "fish": 0.25,
    "bird": 0.25,
    "kite": 0.4,
    "balloon": 0.12,
}
_LITTLE_TILT = 0.08


@dataclass(frozen=True)
class Placement:
    """A thing in a scene; lengths in units of the shorter image side.

    Attributes:
        product: What it is and how it looks.
        x: Middle of its lower edge, horizontally.
        y: Its lower edge.
        size: Its longer side.
        tilt: Clockwise turn in radians.
        stretch: Factors of width and height; a negative width mirrors it.
        parts: Its outlines in a box of its own.
    """

    product: Product
    x: float
    y: float
    size: float
    tilt: float
    stretch: tuple[float, float]
    parts: tuple[Part, ...]

    @property
    def tall(self) -> float:
        """Its height."""
        return self.size * _PROPORTIONS[self.product.thing][1]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, without the tilt."""
        half = 0.5 * _PROPORTIONS[self.product.thing][0] * self.size
        return self.x - half, self.y - self.tall, self.x + half, self.y

    @property
    def farness(self) -> tuple[bool, float]:
        """Things are drawn in this order: what stands lower is nearer, the sky is farthest."""
        return self.product.thing not in SKY_THINGS, self.y

    @cached_property
    def upright(self) -> list[list[np.ndarray]]:
        """Corners of each part's polygons as it stands, from the middle of its lower edge."""
        scale = self.stretch[0] * self.size, self.stretch[1] * self.size
        return [
            [rotate(points * scale, self.tilt) for points in part.polygons] for part in self.parts
        ]

    @cached_property
    def polygons(self) -> list[list[np.ndarray]]:
        """Corners of each part's polygons in the picture."""
        return [[points + (self.x, self.y) for points in part] for part in self.upright]


def place_things(
    dice: Dice, terrain: Terrain, products: tuple[Product, ...], water: bool
) -> list[Placement]:
    """Choose things and a spot for each, where none hides another.

    Args:
        dice: Source of randomness.
        terrain: Where the stuff lies.
        products: What to choose from; all pairs in it are equally likely over many scenes.
        water: Whether the scene has a sea.

    Returns:
        Up to 12 things, the farthest first.
    """
    count = 4 + dice.integer(0, 5) + dice.integer(0, 5)
    placed: list[Placement] = []
    for child in dice.spawn(count):
        product = _choose_product(child, products, water)
        parts = tuple(SHAPES[product.thing](child))
        # Later tries are smaller, so that a crowded scene still takes all its things.
        for attempt in range(16):
            thing = _propose(child, product, parts, terrain, 1 - 0.025 * attempt)
            if all(_covered(thing, other) < _MAX_BOX_COVERED for other in placed):
                placed.append(thing)
                break
    return _drop_hidden(sorted(placed, key=lambda thing: thing.farness), terrain)


@lru_cache(maxsize=8)
def _by_pair(products: tuple[Product, ...]) -> tuple[tuple[tuple[Product, ...], ...], ...]:
    """Products of water things and of others, each grouped by pair."""
    groups: dict[Pair, list[Product]] = {}
    for product in products:
        groups.setdefault(product.pair, []).append(product)
    return tuple(
        tuple(
            tuple(group) for pair, group in groups.items() if (pair.thing in WATER_THINGS) == swims
        )
        for swims in (True, False)
    )


def _choose_product(dice: Dice, products: tuple[Product, ...], water: bool) -> Product:
    """Draw such that over all scenes each pair is equally likely."""
    wet, dry = _by_pair(products)
    # Scenes with a sea show water things so much more often that the others' lack is made up.
    swims = dice.chance(len(wet) / (len(wet) + len(dry)) / WATER_SCENES) and water
    return dice.pick(dice.pick(wet if (swims and wet) or not dry else dry))


def _propose(
    dice: Dice, product: Product, parts: tuple[Part, ...], terrain: Terrain, shrink: float
) -> Placement:
    kind = product.thing
    x, depth = dice.uniform(0.06, terrain.width - 0.06), dice.uniform(0, 1)
    largest = _SIZES[kind] * dice.uniform(0.75, 1.0) * shrink
    if kind in SKY_THINGS:
        size = _limited(product, largest * (0.36 + 0.64 * dice.random() * dice.random()))
        tall = size * _PROPORTIONS[kind][1]
        y = tall + 0.01 + depth * max(terrain.horizon + 0.04 - tall, 0.05)
    else:
        y = _foot(kind, depth, x, terrain)
        size = _limited(product, largest * terrain.scale(y))
        if kind == "fish":
            y = min(y + 0.3 * size, terrain.shore + 0.02)
    lean = _TILTS.get(kind, _LITTLE_TILT)
    stretch = dice.sign() * dice.uniform(0.9, 1.06), dice.uniform(0.92, 1.04)
    return Placement(
        product,
        x,
        y,
        size=size,
        tilt=dice.uniform(-lean, lean),
        stretch=stretch,
        parts=parts,
    )


def _limited(product: Product, size: float) -> float:
    return max(size, _SMALLEST if product.pattern == PLAIN else _SMALLEST_PATTERNED)


def _foot(kind: str, depth: float, x: float, terrain: Terrain) -> float:
    """Where the lower edge of a thing on the ground or in the sea lies."""
    if kind in WATER_THINGS:
        top = terrain.horizon + 0.035
        return top + depth * max(terrain.shore - 0.01 - top, 0.03)
    if kind == "car" and "road" in terrain.extras:
        return float(terrain.road_at(np.float64(x))) + (depth - 0.2) * 0.4 * terrain.road[1]
    top = terrain.shore + 0.045
    return top + depth * (terrain.height - 0.02 - top)


def _covered(first: Placement, second: Placement) -> float:
    """Overlap of two boxes in units of the smaller one."""
    a, b = first.box, second.box
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(across, 0.0) * max(down, 0.0) / smaller


def _drop_hidden(things: Sequence[Placement], terrain: Terrain) -> list[Placement]:
    """Leave out what would be hidden more than half, seen from the front."""
    margin = 24  # what is outside of the picture counts as hidden
    rows = round(terrain.height * _COARSE) + 2 * margin
    columns = round(terrain.width * _COARSE) + 2 * margin
    taken = np.full((rows, columns), 255, np.uint8)
    taken[margin:-margin, margin:-margin] = 0
    kept = []
    for thing in reversed(things):
        painted, whole = (np.zeros((rows, columns), np.uint8) for _ in range(2))
        for part, polygons in zip(thing.parts, thing.polygons, strict=True):
            for points in polygons:
                for mask in (painted, whole) if part.color is None else (whole,):
                    fill_polygon(mask, points, 255, _COARSE, (-margin, -margin))
        inside = painted >= 128
        visible = np.count_nonzero(inside & (taken < 128))
        if visible >= _MIN_VISIBLE * np.count_nonzero(inside):
            kept.append(thing)
            taken |= whole
    return kept[::-1]
