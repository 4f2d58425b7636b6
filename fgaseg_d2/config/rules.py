"""What a value of a configuration may be, in words and as a check: the building blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MANY = 2**31 - 1  # what libraries underneath can count to
_LONGEST_TEXT = 100_000


@dataclass(frozen=True)
class Rule:
    """A kind of value.

    Attributes:
        expected: the kind in words, which continue "expected KEY to be".
        allows: whether a value is of it; never raises.
    """

    expected: str
    allows: Callable[[Any], bool]


FLAG = Rule("True or False", lambda value: isinstance(value, bool))
# The null character ends a path or a word inside the libraries, wherever it stands.
TEXT = Rule(
    f"text of at most {_LONGEST_TEXT} characters",
    lambda value: isinstance(value, str) and len(value) <= _LONGEST_TEXT and "\0" not in value,
)
NAME = Rule("a name", lambda value: TEXT.allows(value) and bool(value.strip()))


def one_of(*choices: str) -> Rule:
    """One of some words."""
    words = [repr(choice) for choice in choices]
    return Rule(
        f"{', '.join(words[:-1])} or {words[-1]}",
        lambda value: isinstance(value, str) and value in choices,
    )


def whole(least: int, most: int = MANY) -> Rule:
    """A whole number between two bounds, which it may be."""
    return Rule(
        f"a whole number of {least} or more"
        if most == MANY
        else f"a whole number from {least} to {most}",
        lambda value: type(value) is int and least <= value <= most,
    )


def number(
    least: float | None = None, most: float | None = None, *, above: float | None = None
) -> Rule:
    """A finite number between bounds; ``above`` is one that it may not be itself."""
    parts = [
        "" if above is None else f"above {above:g}",
        "" if least is None else f"of {least:g} or more",
        "" if most is None else f"of at most {most:g}",
    ]
    words = " and ".join(filter(None, parts))

    def allows(value: Any) -> bool:
        return (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            # A whole number may be larger than every float.
            and abs(value) <= 1e300
            and math.isfinite(value)
            and (least is None or value >= least)
            and (most is None or value <= most)
            and (above is None or value > above)
        )

    return Rule(f"a number {words}".strip(), allows)


def items(rule: Rule, count: int | None = None, *, empty: bool = True) -> Rule:
    """A list or tuple of one kind of value.

    Args:
        rule: of each.
        count: how many; None for any number.
        empty: whether it may be none, where ``count`` is None.
    """
    amount = "a list" if count is None else f"{count} values"
    amount += "" if empty or count is not None else " that is not empty"

    def allows(value: Any) -> bool:
        return (
            isinstance(value, (list, tuple))
            and (len(value) == count if count is not None else empty or bool(value))
            and all(map(rule.allows, value))
        )

    return Rule(f"{amount}, each {rule.expected}", allows)


def either(first: Rule, second: Rule) -> Rule:
    """One kind of value or another."""
    return Rule(
        f"{first.expected}, or {second.expected}",
        lambda value: first.allows(value) or second.allows(value),
    )


def just(value: Any) -> Rule:
    """One value."""
    return Rule(repr(value), lambda other: type(other) is type(value) and other == value)


def such_that(rule: Rule, holds: Callable[[Any], bool], words: str) -> Rule:
    """A kind of value with one more condition, asked only of what the rule allows."""
    return Rule(
        f"{rule.expected}, {words}", lambda value: rule.allows(value) and bool(holds(value))
    )
