"""Random numbers that are the same on every machine and with every version of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_Item = TypeVar("_Item")
# Fused multiply-add, which some processors use, changes the last bit of a product; rounding to a
# millionth removes it.
_STEPS = float(1 << 20)


class Dice:
    """A source of randomness that only takes PCG64's uniform numbers, whose stream is fixed.

    Args:
        seed: A non-negative integer, or the sequence of a parent.
    """

    def __init__(self, seed: int | np.random.SeedSequence) -> None:
        """Start the stream."""
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(seed)
        self._sequence = seed
        self._generator = np.random.Generator(np.random.PCG64(self._sequence))

    def spawn(self, count: int) -> list[Dice]:
        """Make independent sources, which do not depend on what was drawn so far."""
        return [Dice(sequence) for sequence in self._sequence.spawn(count)]

    def random(self) -> float:
        """A number in [0, 1)."""
        return float(self._generator.random())

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high], a multiple of 2^-20."""
        return round((low + (high - low) * self.random()) * _STEPS) / _STEPS

    def integer(self, low: int, high: int) -> int:
        """A whole number in [low, high)."""
        return low + int((high - low) * self.random())

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of some items, each as likely."""
        return items[self.integer(0, len(items))]

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return self.random() < probability

    def sign(self) -> int:
        """-1 or 1."""
        return 1 if self.chance(0.5) else -1

    def points(self, count: int, dimensions: int) -> np.ndarray:
        """An array of numbers in [0, 1), count x dimensions."""
        return self._generator.random((count, dimensions))

    def shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        """The items in a random order."""
        return [items[index] for index in np.argsort(self.points(len(items), 1)[:, 0])]
