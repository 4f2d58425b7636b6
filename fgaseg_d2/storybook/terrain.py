"""Which stuff a scene has and where it lies."""

import math
from dataclasses import dataclass

import numpy as np

from .dice import Dice


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

    def nearness(self, y: float) -> float:
        """How near something is whose foot is at height ``y``: 0 at the horizon, 1 in front."""
        return (y - self.horizon) / (self.height - self.horizon)

    def scale(self, y: float) -> float:
        """Factor of the size of something at height ``y``; farther is smaller."""
        return 0.36 + 0.64 * self.nearness(y)


def plan_terrain(dice: Dice, height: float, width: float, water: bool) -> Terrain:
    """Choose the stuff of a scene and where it lies.

    Args:
        dice: Source of randomness.
        height: Height of the scene in units of its shorter side.
        width: Width of the scene in the same unit.
        water: Whether the scene has a sea.

    Returns:
        The terrain, with 3 to 5 stuff classes.
    """
    horizon = height * dice.uniform(0.32, 0.46)
    shore = horizon + height * dice.uniform(0.2, 0.3) if water else horizon
    # A beach goes well with a sea.
    grounds = "meadow sand sand snow" if water else "meadow meadow sand snow snow meadow"
    ground = dice.pick(grounds.split())
    candidates = ["sun", "cloud", dice.pick(("mountain", "hill")), "road"]
    count = dice.integer(1, 3) if water else dice.integer(2, 4)
    extras = set(dice.shuffled(candidates)[:count])
    if water:
        extras.add("sea")
    radius = dice.uniform(0.055, 0.09)
    sun = (dice.uniform(0.12, width - 0.12), dice.uniform(0.11, max(horizon - 0.2, 0.12)), radius)
    band = dice.uniform(0.12, 0.17)
    nearest = shore + 0.6 * band + 0.04
    middle = dice.uniform(nearest, max(height - 0.8 * band, nearest))
    phase = dice.uniform(0, 2 * math.pi)
    return Terrain(
        width,
        height,
        horizon=horizon,
        shore=shore,
        ground=ground,
        extras=frozenset(extras),
        sun=sun,
        road=(middle, band),
        phase=phase,
    )
