"""How far a long run is: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Shows on standard error how much is done, until its block ends.

    On a terminal that is a bar, which is drawn over and over. Elsewhere carriage returns would make
    one endless line of a log, so it is a line of its own from time to time, and none of a run that
    is over before.

    Args:
        total: of the units; None if nobody knows.
        unit: what is counted, in the singular, such as "picture".
        title: stands before the count; "" for the unit.
        stream: where to show it; None for standard error.
        seconds: between two lines of a log.
        done: how much was done before.
    """

    def __init__(
        self,
        total: int | None,
        unit: str,
        title: str = "",
        *,
        stream: TextIO | None = None,
        seconds: float = SECONDS_BETWEEN_LINES,
        done: int = 0,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._title, self._total, self._seconds = title or f"{unit}s", total, seconds
        self._done, self._told = done, time.monotonic()
        self._bar: tqdm | None = None
        if self._stream.isatty():
            scale = {"unit_scale": True, "unit_divisor": 1024} if unit == "byte" else {}
            self._bar = tqdm(
                **{"total": total, "initial": done, "unit": unit, "desc": title or None},
                **{"file": self._stream, **scale},
            )

    def update(self, count: int = 1) -> None:
        """Note that ``count`` more are done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._told >= self._seconds:
            self._told = time.monotonic()
            of = "" if self._total is None else f" of {self._total:,}"
            self._stream.write(f"{self._title}: {self._done:,}{of}\n")
            self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def with_progress(
    items: Iterable[_Item], total: int, unit: str, title: str = ""
) -> Iterator[_Item]:
    """The same items, and :class:`Progress` while whoever takes them works on each."""
    with Progress(total, unit, title) as progress:
        for item in items:
            yield item
            progress.update()
