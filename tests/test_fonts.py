"""Letters of any script that the machine has a font for."""

import pytest
from PIL import ImageFont

from fgaseg_d2.drawing import fonts
from fgaseg_d2.drawing.legend import wrap_text


def drawn(font, text):
    """How each letter looks, and how one looks that no font has."""
    return {bytes(font.getmask(letter)) for letter in text}, bytes(font.getmask("\U0010ffff"))


def test_plain_words_have_pillows_own_font():
    assert fonts.font_for("red house", 20).getname() == ImageFont.load_default(20).getname()


@pytest.mark.parametrize("word", ["größer", "зелёная", "قارب", "červený"])
def test_letters_beyond_ascii_are_not_drawn_as_empty_boxes(word):
    font = fonts.font_for(f"red {word}", 20)
    letters, box = drawn(font, set(word))
    assert box not in letters
    assert len(letters) == len(set(word))
    assert font.size == 20


def test_a_font_of_the_system_where_no_other_has_the_letters(monkeypatch):
    """The file list goes on to the font that has the most letters, past what Pillow cannot read."""
    dejavu = next(fonts._font_files())
    monkeypatch.setattr(fonts, "_font_files", lambda: iter([__file__, dejavu]))
    fonts._best_font.cache_clear()
    font = fonts.font_for("größer \U0010fffe", 20)
    fonts._best_font.cache_clear()
    assert font.getname()[0] == "DejaVu Sans"


def test_wrapped_lines_fit_and_lose_nothing():
    font = fonts.font_for("", 20)
    text = f"a boat {'w' * 60} far away"
    lines = wrap_text(text, font, 150)
    assert len(lines) > 3
    assert all(font.getlength(line) <= 150 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap_text("", font, 150) == [""]
