"""A font for the words of a picture, whatever their script."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

_ASCII = "".join(map(chr, range(32, 127)))
_NO_LETTER = "\U0010ffff"  # no font has it, so it shows what a font draws for missing letters


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The first font with all letters of a text: Pillow's own, DejaVu Sans, then the system's.

    Where none has all, the one with the most of them.

    Args:
        text: everything that will be drawn in the font.
        size: height in pixels.
    """
    # Numbers stand beside the words, and words of several scripts beside each other.
    letters = "" if text.isascii() else "".join(sorted({*text, *_ASCII}))
    return _best_font(letters, size)


@lru_cache(maxsize=64)
def _best_font(letters: str, size: int) -> ImageFont.FreeTypeFont:
    best, most = None, -1
    for font in _fonts(size):
        count = _known(font, letters)
        if count > most:
            best, most = font, count
        if count == len(letters):
            break
    assert best is not None
    return best


def _known(font: ImageFont.FreeTypeFont, letters: str) -> int:
    """How many of the letters a font has."""
    missing = bytes(font.getmask(_NO_LETTER))
    return sum(letter.isspace() or bytes(font.getmask(letter)) != missing for letter in letters)


def _fonts(size: int) -> Iterator[ImageFont.FreeTypeFont]:
    own = ImageFont.load_default(size=size)
    assert isinstance(own, ImageFont.FreeTypeFont)
    yield own
    for path in _font_files():
        try:
            yield ImageFont.truetype(path, size)
        except OSError:  # a format that Pillow does not read
            continue


def _font_files() -> Iterator[str]:
    # Matplotlib, which Detectron2 requires, brings one font and knows where the system's are.
    import matplotlib

    yield str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    from matplotlib import font_manager

    found = [font for font in font_manager.fontManager.ttflist if font.style == "normal"]
    for font in sorted(found, key=lambda font: ("Sans" not in font.name, font.name, font.fname)):
        yield font.fname
