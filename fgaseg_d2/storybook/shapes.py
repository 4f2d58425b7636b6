"""Outlines of the things: each is a list of parts in a box of its own.

The longer side of the box has length 1, the lower edge lies at y = 0 (y points downwards, so the
thing stands at negative y) and the middle at x = 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .dice import Dice
from .geometry import box, ellipse, polygon, ribbon, smooth
from .paint import Color, scaled

BROWN, BARK, CREAM = (122, 78, 48), (134, 90, 58), (246, 232, 205)
GLASS, DARK, GREY, WHITE = (196, 226, 240), (48, 46, 56), (150, 152, 160), (252, 252, 250)
LEAF, ORANGE, PINK = (70, 150, 62), (242, 148, 40), (240, 140, 150)
ROOFS: tuple[Color, ...] = ((128, 88, 66), (104, 100, 108), (150, 112, 84))


class Part(NamedTuple):
    """Polygons of one colour that share an outline.

    Attributes:
        polygons: N x 2 corners each; their union is filled.
        color: RGB in 0..255, or None for the paint that shows the attribute.
        tone: Brightness factor of the paint.
        outlined: Whether a dark line runs around the union.
    """

    polygons: tuple[np.ndarray, ...]
    color: Color | None = None
    tone: float = 1.0
    outlined: bool = True


def eye(x: float, y: float, radius: float) -> list[Part]:
    """A round eye with a pupil."""
    return [
        Part((ellipse(x, y, radius, radius),), WHITE, outlined=False),
        Part((ellipse(x + radius / 4, y, radius * 0.55, radius * 0.6),), DARK, outlined=False),
    ]


def house(dice: Dice) -> list[Part]:
    """A house with painted walls under a brown or grey roof."""
    roof = dice.pick(ROOFS)
    ridge = dice.uniform(0.0, 0.24)
    side = dice.sign()
    parts = [
        Part((box(side * 0.27 - 0.06, -0.98, side * 0.27 + 0.06, -0.62),), (164, 92, 76)),
        Part((box(-0.43, -0.64, 0.43, 0),)),
        Part((polygon((-0.52, -0.6), (-ridge, -1), (ridge, -1), (0.52, -0.6)),), roof),
    ]
    shadow = scaled(roof, 0.78)
    for y in (-0.7, -0.83):
        reach = 0.52 - (0.52 - ridge) * (-0.6 - y) / 0.4
        tiles = box(-reach, y - 0.012, reach, y + 0.012)
        parts.append(Part((tiles,), shadow, outlined=False))
    door = np.concatenate([ellipse(0, -0.25, 0.08, 0.07, 180, 360), polygon((0.08, 0), (-0.08, 0))])
    parts.append(Part((door,), BROWN))
    parts.append(Part((ellipse(0.045, -0.14, 0.018, 0.018),), (250, 214, 90), outlined=False))
    for x in (-0.27, 0.27):
        parts.append(Part((box(x - 0.065, -0.46, x + 0.065, -0.31),), GLASS))
        cross = (box(x - 0.01, -0.46, x + 0.01, -0.31), box(x - 0.065, -0.395, x + 0.065, -0.375))
        parts.append(Part(cross, WHITE, outlined=False))
    return parts


def tree(dice: Dice) -> list[Part]:
    """A tree with a painted crown, round or pointed."""
    trunk = Part((polygon((-0.1, 0), (-0.055, -0.45), (0.055, -0.45), (0.1, 0)),), BARK)
    bumps = dice.integer(6, 9)
    if dice.chance(0.35):
        tiers = [
            polygon((-half, low), (0, high), (half, low))
            for half, low, high in ((0.4, -0.2, -0.64), (0.34, -0.42, -0.83), (0.26, -0.63, -1.0))
        ]
        return [trunk, Part(tuple(tiers))]
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    radius = 1 + 0.09 * np.abs(np.sin(bumps * angles / 2)) - 0.05
    crown = np.stack([0.4 * radius * np.cos(angles), -0.63 + 0.36 * radius * np.sin(angles)], 1)
    return [trunk, Part((crown,))]


def car(dice: Dice) -> list[Part]:
    """A car from the side, painted but for windows and wheels."""
    roof = dice.uniform(-0.05, 0.05)
    body = smooth(
        [(-0.49, -0.12), (-0.5, -0.32), (-0.38, -0.37), (0.3, -0.36), (0.47, -0.31), (0.5, -0.13)]
        + [(0.3, -0.09), (-0.3, -0.09)]
    )
    cabin = polygon((-0.36, -0.32), (-0.25 + roof, -0.6), (0.13 + roof, -0.6), (0.3, -0.32))
    rear = polygon((-0.25, -0.37), (-0.18 + roof, -0.54), (-0.06 + roof, -0.54), (-0.06, -0.37))
    front = polygon((0.0, -0.37), (0.0 + roof, -0.54), (0.09 + roof, -0.54), (0.19, -0.37))
    parts = [Part((body, cabin)), Part((rear, front), GLASS)]
    parts.append(Part((ellipse(0.45, -0.25, 0.03, 0.035),), (255, 240, 170), outlined=False))
    for x in (-0.27, 0.28):
        parts.append(Part((ellipse(x, -0.11, 0.11, 0.11),), DARK))
        parts.append(Part((ellipse(x, -0.11, 0.05, 0.05),), GREY, outlined=False))
    return parts


def flower(dice: Dice) -> list[Part]:
    """A flower with painted petals on a green stem."""
    count = dice.integer(6, 9)
    turn = dice.uniform(0, 360 / count)
    petals = []
    for index in range(count):
        angle = turn + index * 360 / count
        x, y = 0.23 * np.cos(np.radians(angle)), -0.62 + 0.23 * np.sin(np.radians(angle))
        petals.append(ellipse(x, y, 0.15, 0.13, turn=angle))
    leaves = (
        ellipse(0.14, -0.15, 0.14, 0.055, turn=-30),
        ellipse(-0.14, -0.2, 0.14, 0.055, turn=30),
    )
    return [
        Part((box(-0.03, -0.5, 0.03, 0), *leaves), LEAF),
        Part((*petals, ellipse(0, -0.62, 0.22, 0.22))),
        Part((ellipse(0, -0.62, 0.09, 0.09),), (146, 88, 36)),
    ]


def umbrella(dice: Dice) -> list[Part]:
    """An open umbrella with a painted canopy and a thin pole that ends in a hook."""
    sag = dice.uniform(0.05, 0.08)
    dome = ellipse(0, -0.48, 0.5, 0.46, 180, 360)
    scallops = [ellipse(0.375 - 0.25 * index, -0.48, 0.125, sag, 0, -180)[1:] for index in range(4)]
    hook = ellipse(0.06, -0.07, 0.06, 0.06, 0, 180)
    inner = ellipse(0.06, -0.07, 0.025, 0.025, 180, 0)
    return [
        Part((box(-0.018, -1.0, 0.018, -0.9),), BROWN),
        Part((box(-0.02, -0.6, 0.025, -0.07), np.concatenate([hook, inner])), BROWN),
        Part((np.concatenate([dome, *scallops]),)),
    ]


def mushroom(dice: Dice) -> list[Part]:
    """A mushroom with a painted cap on a thick pale stem."""
    waist = dice.uniform(0.11, 0.15)
    stem = smooth(
        [(-waist, -0.5), (-waist, -0.25), (-0.2, -0.05), (0, 0), (0.2, -0.05), (waist, -0.25)]
        + [(waist, -0.5)]
    )
    cap = np.concatenate(
        [ellipse(0, -0.4, 0.5, 0.52, 180, 360), ellipse(0, -0.4, 0.5, 0.07, 0, 180)]
    )
    return [Part((stem,), CREAM), Part((cap,))]


def cat(dice: Dice) -> list[Part]:
    """A sitting cat that looks at the reader."""
    curl = dice.uniform(0.0, 0.08)
    tail = smooth(
        [(0.1, -0.02), (0.36, -0.03), (0.45, -0.2), (0.4 - curl, -0.42), (0.34 - curl, -0.38)]
        + [(0.36, -0.2), (0.28, -0.12), (0.1, -0.12)]
    )
    body = smooth(
        [(-0.27, -0.02), (-0.28, -0.22), (-0.17, -0.5), (0.17, -0.5), (0.28, -0.22)]
        + [(0.27, -0.02), (0, 0)]
    )
    head = ellipse(0, -0.66, 0.27, 0.22)
    ears = [polygon((s * 0.26, -0.68), (s * 0.25, -0.99), (s * 0.04, -0.82)) for s in (-1, 1)]
    inner = [polygon((s * 0.22, -0.8), (s * 0.22, -0.93), (s * 0.12, -0.85)) for s in (-1, 1)]
    parts = [
        Part((tail,)),
        Part((body,)),
        Part((head, *ears)),
        Part(tuple(inner), PINK, outlined=False),
    ]
    parts += eye(-0.11, -0.69, 0.05) + eye(0.11, -0.69, 0.05)
    parts.append(Part((polygon((-0.04, -0.61), (0.04, -0.61), (0, -0.565)),), PINK, outlined=False))
    for side in (-1, 1):
        whiskers = [
            polygon((side * 0.1, y), (side * 0.25, y + drop), (side * 0.25, y + drop + 0.014))
            for y, drop in ((-0.58, -0.03), (-0.56, 0.02))
        ]
        parts.append(Part(tuple(whiskers), DARK, outlined=False))
    return parts


def boat(dice: Dice) -> list[Part]:
    """A sailing boat with painted hull and sails."""
    small = dice.uniform(0.7, 0.85)
    hull = smooth([(-0.5, -0.26), (0.0, -0.24), (0.52, -0.28), (0.36, -0.03), (-0.36, -0.01)], 8)
    rim = polygon((-0.47, -0.27), (0.49, -0.29), (0.48, -0.23), (-0.46, -0.21))
    return [
        Part((box(-0.022, -1.0, 0.022, -0.22),), BROWN),
        Part((polygon((0.03, -0.98), (0.46, -0.36), (0.03, -0.34)),)),
        Part((polygon((-0.03, -small - 0.08), (-0.03, -0.34), (-0.38, -0.36)),)),
        Part((hull,), tone=0.92),
        Part((rim,), CREAM, outlined=False),
    ]


def fish(dice: Dice) -> list[Part]:
    """A fish with painted body and fins."""
    fin = dice.uniform(0.0, 0.1)
    tail = smooth([(-0.2, -0.3), (-0.48, -0.54), (-0.42, -0.3), (-0.48, -0.06)])
    back = smooth([(-0.12 - fin, -0.44), (0.0 - fin, -0.62), (0.22, -0.46)])
    body = smooth(
        [(-0.28, -0.3), (0.05, -0.53), (0.34, -0.45), (0.49, -0.29), (0.34, -0.13), (0.05, -0.06)]
    )
    side = smooth([(0.02, -0.3), (-0.14, -0.2), (0.02, -0.18)])
    parts = [Part((tail, back, body)), Part((side,), tone=0.82)]
    mouth = polygon((0.49, -0.27), (0.38, -0.22), (0.48, -0.24))
    parts.append(Part((mouth,), DARK, outlined=False))
    return parts + eye(0.31, -0.36, 0.05)


def bird(dice: Dice) -> list[Part]:
    """A flying bird with one wing raised."""
    lift = dice.uniform(-0.1, 0.05)
    tail = polygon((-0.22, -0.32), (-0.5, -0.46), (-0.46, -0.32), (-0.5, -0.22), (-0.2, -0.2))
    body = smooth(
        [(-0.3, -0.28), (-0.05, -0.42), (0.14, -0.5), (0.3, -0.56), (0.42, -0.44), (0.36, -0.28)]
        + [(0.15, -0.1), (-0.12, -0.1)]
    )
    wing = smooth(
        [
            (-0.13, -0.33),
            (-0.3, -0.72),
            (-0.22, -0.9 + lift),
            (0.08, -0.66),
            (0.17, -0.34),
            (0.02, -0.22),
        ]
    )
    beak = polygon((0.39, -0.48), (0.54, -0.41), (0.39, -0.36))
    return [Part((beak,), ORANGE), Part((tail, body)), Part((wing,), tone=0.9)] + eye(
        0.29, -0.45, 0.035
    )


def balloon(dice: Dice) -> list[Part]:
    """A hot-air balloon with a painted envelope over a basket."""
    width = dice.uniform(0.36, 0.4)
    envelope = smooth(
        [(0, -1), (-0.7 * width, -0.9), (-width, -0.64), (-0.75 * width, -0.4), (-0.1, -0.22)]
        + [(0.1, -0.22), (0.75 * width, -0.4), (width, -0.64), (0.7 * width, -0.9)]
    )
    collar = polygon((-0.1, -0.25), (0.1, -0.25), (0.08, -0.14), (-0.08, -0.14))
    basket = polygon((-0.1, -0.15), (0.1, -0.15), (0.085, 0), (-0.085, 0))
    rim = box(-0.11, -0.16, 0.11, -0.125)
    return [
        Part((collar,), (206, 178, 140)),
        Part((envelope,)),
        Part((basket,), (166, 112, 64)),
        Part((rim,), BROWN, outlined=False),
    ]


def kite(dice: Dice) -> list[Part]:
    """A painted kite with a tail: a thin wavy string with bows."""
    sway = dice.sign() * dice.uniform(0.05, 0.1)
    sail = polygon((0, -1), (0.3, -0.72), (0, -0.3), (-0.3, -0.72))
    drop = np.linspace(0, 1, 15)
    string = np.stack([sway * np.sin(2.3 * np.pi * drop), 0.3 * drop - 0.3], axis=1)
    bows = []
    for index in (5, 9, 13):
        x, y = string[index]
        for side in (-1, 1):
            bows.append(polygon((x, y), (x + side * 0.085, y - 0.04), (x + side * 0.085, y + 0.04)))
    spars = (box(-0.008, -1.0, 0.008, -0.3), box(-0.3, -0.727, 0.3, -0.713))
    return [
        Part((ribbon(string, 0.022),), DARK, outlined=False),
        Part(tuple(bows), ORANGE, outlined=False),
        Part((sail,)),
        Part(spars, BROWN, outlined=False),
    ]


SHAPES: dict[str, Callable[[Dice], list[Part]]] = {
    "house": house,
    "tree": tree,
    "car": car,
    "flower": flower,
    "umbrella": umbrella,
    "mushroom": mushroom,
    "cat": cat,
    "boat": boat,
    "fish": fish,
    "bird": bird,
    "balloon": balloon,
    "kite": kite,
}
