"""Pictures of telephones in HEIF (.heic), which Pillow reads with pillow-heif alone."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from .extras import import_extra

# Brands of pictures in the box that such a file begins with (ISO/IEC 23008-12).
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


class MissingHeifError(ValueError):
    """A picture needs a library that is not installed."""


def open_heif(file: Any) -> None:
    """Let Pillow read a file, if it is in this format.

    Args:
        file: a path, or a file that is open for reading, which stays where it is.

    Raises:
        MissingHeifError: pillow-heif is not installed; the message says how to get it.
    """
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as opened:
            head = opened.read(12)
    else:
        start = file.tell()
        head = file.read(12)
        file.seek(start)
    if head[4:8] == b"ftyp" and head[8:12] in _BRANDS:
        _register()


@cache
def _register() -> None:
    try:
        import_extra("pillow_heif", "heif").register_heif_opener()
    except ImportError as error:
        raise MissingHeifError(
            f"expected a picture that Pillow reads, got HEIC; {error}, or save it as JPEG"
        ) from error
