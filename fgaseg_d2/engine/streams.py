"""Lets names be written that a stream cannot encode: Linux allows any bytes in a file's name."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable


def show_any_name(*loggers: str) -> None:
    r"""Write what cannot be encoded as an escape, such as \udce9, instead of stopping there.

    A name that is no UTF-8 reaches Python with lone surrogates, and a terminal may know even fewer
    characters.

    Args:
        loggers: names of loggers whose streams are prepared besides standard output and error.
    """
    streams = {sys.stdout, sys.stderr}
    for name in loggers:
        streams |= set(_streams(logging.getLogger(name).handlers))
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _streams(handlers: Iterable[logging.Handler]) -> Iterable[object]:
    return (part.stream for part in handlers if isinstance(part, logging.StreamHandler))
