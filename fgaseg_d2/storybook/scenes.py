"""Storybook scenes: things of given kinds and looks, placed in a landscape."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .canvas import OUTLINE_WIDTH, Canvas, check_sides, fill_polygon
from .classes import CLASS_IDS, GROUND_THINGS, TRAINING_PRODUCTS, Product
from .dice import Dice
from .landscape import draw_terrain
from .layout import WATER_SCENES, Placement, place_things
from .light import Light, cast_shadows, choose_light, develop
from .paint import make_paint
from .terrain import Terrain, plan_terrain

_OUTLINE = (52, 44, 52)
_SHADOW_SIDE = 80  # pixels of the shorter side of the shadows' mask


@dataclass
class Scene:
    """A picture with its label map.

    Attributes:
        image: H x W x 3 uint8, RGB.
        label: H x W uint8, positions in :data:`classes.FULL_CLASSES`.
        things: H x W uint8, the number of the thing that a pixel belongs to, from 1, the farthest
            first; 0 for stuff.
    """

    image: np.ndarray
    label: np.ndarray
    things: np.ndarray


def draw_scene(
    seed: int,
    height: int = 256,
    width: int = 256,
    products: Sequence[Product] = TRAINING_PRODUCTS,
) -> Scene:
    """Draw one scene; the same arguments always give the same pixels.

    Args:
        seed: Any non-negative integer.
        height: Rows in pixels, 32 .. 4096. Scenes of the same seed and shape differ in sharpness
            only.
        width: Columns in pixels, 32 .. 4096.
        products: What the things of the scene are chosen from: those of training, or for example
            all (:data:`classes.PRODUCTS`).

    Returns:
        The scene.

    Raises:
        ValueError: The seed is negative, a side is out of range or there is nothing to choose from.
    """
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, got {seed}")
    check_sides(height, width)
    if not products:
        raise ValueError("expected one product or more to choose from, got none")
    # One source each, so that textures can change without moving a thing.
    layout, looks, texture, atmosphere = Dice(seed).spawn(4)
    canvas = Canvas(height, width)
    light = choose_light(atmosphere)
    water = layout.chance(WATER_SCENES)
    terrain = plan_terrain(layout, canvas.height, canvas.width, water)
    things = place_things(layout, terrain, tuple(products), water)
    draw_terrain(canvas, terrain, light, texture)
    _draw_shadows(canvas, things, terrain, light)
    several = enumerate(zip(things, looks.spawn(len(things)), strict=True), start=1)
    for number, (thing, look) in several:
        _draw_thing(canvas, thing, light, look, number)
    develop(canvas.image, light, atmosphere)
    return Scene(canvas.image, canvas.label, canvas.things)


def _draw_shadows(
    canvas: Canvas, things: Sequence[Placement], terrain: Terrain, light: Light
) -> None:
    """Shadows of what stands on the ground, cast on the ground and the road."""
    size = round(canvas.height * _SHADOW_SIDE), round(canvas.width * _SHADOW_SIDE)
    mask = np.zeros(size, np.uint8)
    for thing in things:
        if thing.product.thing not in GROUND_THINGS:
            continue
        for part, polygons in zip(thing.parts, thing.upright, strict=True):
            for points in polygons if part.outlined else ():
                x, y = points.T
                flat = np.stack([x - light.shear * y, -light.fall * y], axis=1)
                fill_polygon(mask, flat + (thing.x, thing.y - 0.008), 255, _SHADOW_SIDE)
    catching = canvas.label == CLASS_IDS[terrain.ground]
    catching |= canvas.label == CLASS_IDS["road"]
    cast_shadows(canvas.image, mask, catching, light)


def _draw_thing(canvas: Canvas, thing: Placement, light: Light, dice: Dice, number: int) -> None:
    paint = make_paint(
        dice,
        thing.product,
        size=thing.size,
        middle=(thing.x, thing.y - thing.tall / 2),
        height=thing.tall,
        light=light.side,
    )
    # Small things have thinner lines.
    outline = OUTLINE_WIDTH * min(1.0, 0.3 + 2.6 * thing.size)
    outlined: list[np.ndarray] = []
    others: list[np.ndarray] = []
    for part, polygons in zip(thing.parts, thing.polygons, strict=True):
        (outlined if part.outlined else others).extend(polygons)
        if part.outlined:
            for points in polygons:
                canvas.line(points, outline, _OUTLINE, closed=True)
        for points in polygons:
            if part.color is None:
                canvas.fill_painted(points, paint, part.tone)
            else:
                canvas.fill(points, part.color)
    class_id = CLASS_IDS[thing.product.name]
    canvas.mark(outlined, class_id, outline, number)
    if others:
        canvas.mark(others, class_id, thing=number)
