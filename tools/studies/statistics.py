"""Means over seeds, and differences between rows seed by seed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple


class Spread(NamedTuple):
    """Several values of one figure: mean, standard deviation (n - 1; None for one), number."""

    mean: float
    deviation: float | None
    count: int  # type: ignore[assignment]  # a tuple's method, which nobody calls here


def spread(values: Mapping[int, float | None]) -> Spread | None:
    """Summarise a figure by seed, None where there is none; None without any value."""
    there = [value for value in values.values() if value is not None]
    if not there:
        return None
    deviation = statistics.stdev(there) if len(there) > 1 else None
    return Spread(statistics.fmean(there), deviation, len(there))


def paired_difference(
    values: Mapping[int, float | None], others: Mapping[int, float | None]
) -> Spread | None:
    """Summarise values minus others, seed by seed; None without a seed that both have.

    What a seed does to both rows alike cancels, so that the deviation is of the difference itself.
    """
    pairs = ((seed, value, others.get(seed)) for seed, value in values.items())
    return spread({s: None if a is None or b is None else a - b for s, a, b in pairs})
