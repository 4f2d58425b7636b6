"""How messages show what a person gave: in one line that a terminal can hold."""

from __future__ import annotations

import logging
import os
import reprlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

# Characters of one value, of a path, and of a whole message.
_VALUE = 120
PATH = 200
MESSAGE = 400


class _Repr(reprlib.Repr):
    """repr that looks at the beginning and the end of what is long, and never fails."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 4, _VALUE, _VALUE, _VALUE
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 12

    # The name that reprlib calls for int.
    def repr_int(self, number: int, level: int) -> str:
        try:
            return super().repr_int(number, level)
        # Python refuses to write thousands of digits.
        except ValueError:
            return f"a number of {number.bit_length()} bits"


_SHORT = _Repr()


def shown(value: Any, limit: int = _VALUE) -> str:
    """Write a value as Python would, in one line; the middle of a long one is left out.

    Args:
        value: anything that a person gave. A path is written as text.
        limit: characters; :data:`PATH` for paths as text.
    """
    if isinstance(value, os.PathLike):
        value, limit = os.fspath(value), max(limit, PATH)
    if isinstance(value, str):
        # Its repr is one line; the middle of a very long one is not even looked at.
        return _cut(
            repr(value if len(value) <= 2 * limit else value[:limit] + value[-limit:]), limit
        )
    return in_one_line(_SHORT.repr(dict(value) if isinstance(value, Mapping) else value), limit)


def plain(text: Any, limit: int = 100) -> str:
    """A path, address or name without quotation marks; the middle of a long one is left out.

    Args:
        text: anything; a file can bring names of any length, with any characters.
        limit: characters.

    Returns:
        One line of printable characters.
    """
    line = os.fsdecode(text) if isinstance(text, (str, bytes, os.PathLike)) else str(text)
    return in_one_line(
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line), limit
    )


def in_one_line(text: str, limit: int = MESSAGE) -> str:
    """Join the lines of a text, and leave out the middle of a long one.

    Args:
        text: such as the message of an error.
        limit: characters.
    """
    return _cut(" ".join(text.split()), limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    # What went wrong stands first, what to do about it last.
    first = (limit - 3) // 2
    return f"{text[:first]}...{text[len(text) - (limit - 3 - first) :]}"


def few(names: Iterable[object], limit: int = 5) -> str:
    """The first names of a list, and how many more there are.

    Args:
        names: written as text.
        limit: how many.
    """
    all_names = list(names)
    more = f" and {len(all_names) - limit} more" if len(all_names) > limit else ""
    return ", ".join(in_one_line(str(name), _VALUE) for name in all_names[:limit]) + more


@cache
def warn_once(logger: logging.Logger, message: str) -> None:
    """Log a warning, the first time that it comes."""
    logger.warning("%s", message)
