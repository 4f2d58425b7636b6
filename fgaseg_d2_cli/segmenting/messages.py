"""What a segmentation tells its user beside results: lines, and the library's warnings."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TextIO

_LIBRARY = "fgaseg_d2"


def say(line: str) -> None:
    """Write a line to standard output, above the progress bar."""
    _write(line, sys.stdout)


def complain(line: str) -> None:
    """Write a line to standard error, above the progress bar."""
    _write(line, sys.stderr)


def _write(line: str, stream: TextIO) -> None:
    # Where requirements are missing, this program can still say so.
    from tqdm import tqdm

    with tqdm.external_write_mode(file=stream):
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(
                f"cannot write {stream.name}: {error.strerror}; free some space or choose another "
                "place for it"
            ) from error


class OutputError(OSError):
    """Standard output cannot be written."""


class _Complaints(logging.Handler):
    """Shows each warning once, however many pictures it is about."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's message."""
        message = " ".join(record.getMessage().split())
        kind = getattr(record, "kind", message)
        if kind not in self.told:
            self.told.add(kind)
            complain(f"warning: {message}")


@contextlib.contextmanager
def library_warnings() -> Iterator[None]:
    """In this block, let the warnings of this package reach the user, and none of other libraries.

    Those tell what is of no use to the user, or what this package says better.
    """
    root, library, shown = logging.getLogger(), logging.getLogger(_LIBRARY), _Complaints()
    levels, passed_on = (root.level, library.level), library.propagate
    root.setLevel(logging.CRITICAL)
    library.setLevel(logging.WARNING)
    library.addHandler(shown)
    # A library may have given the root logger a handler, which would say it again.
    library.propagate = False
    try:
        yield
    finally:
        library.removeHandler(shown)
        library.propagate = passed_on
        root.setLevel(levels[0])
        library.setLevel(levels[1])
