"""Means over seeds, and differences between rows seed by seed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Several values of one figure.

    Attributes:
        mean: of the values.
        deviation: their standard deviation, of a sample (n - 1); None for a single value.
        count: how many there are, 1 or more.
    """

    mean: float
    deviation: float | None
    count: int


def spread(values: Mapping[int, float | None]) -> Spread | None:
    """Summarise a figure over seeds.

    Args:
        values: by seed; None where there is none.

    Returns:
        None without any value.
    """
    there = [value for value in values.values() if value is not None]
    if not there:
        return None
    deviation = statistics.stdev(there) if len(there) > 1 else None
    return Spread(statistics.fmean(there), deviation, len(there))


def paired_difference(
    values: Mapping[int, float | None], others: Mapping[int, float | None]
) -> Spread | None:
    """Summarise the differences of two rows, seed by seed.

    What a seed does to both rows alike cancels, so that the deviation is of the difference itself.

    Args:
        values, others: by seed; seeds that one of them lacks are left out.

    Returns:
        values minus others; None without a common seed.
    """
    pairs = {seed: (value, others.get(seed)) for seed, value in values.items()}
    return spread(
        {
            seed: None if first is None or second is None else first - second
            for seed, (first, second) in pairs.items()
        }
    )
