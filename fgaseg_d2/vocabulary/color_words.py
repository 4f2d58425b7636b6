"""Colors that words mean: "red car" is red, and the sky light blue."""

from __future__ import annotations

import re
from collections.abc import Mapping

Rgb = tuple[int, int, int]

_NAMED: Mapping[Rgb, str] = {
    (214, 39, 40): "red scarlet",
    (150, 20, 50): "crimson maroon burgundy",
    (255, 127, 14): "orange",
    (255, 217, 47): "yellow golden gold",
    (44, 160, 44): "green emerald",
    (150, 205, 50): "lime",
    (110, 115, 35): "olive khaki",
    (31, 119, 180): "blue",
    (20, 45, 110): "navy",
    (23, 190, 207): "cyan turquoise aqua",
    (15, 130, 130): "teal",
    (148, 103, 189): "purple violet lilac",
    (200, 40, 160): "magenta fuchsia",
    (240, 130, 190): "pink",
    (140, 86, 75): "brown",
    (222, 202, 165): "beige tan cream",
    (245, 245, 245): "white",
    (40, 40, 44): "black",
    (140, 145, 150): "grey gray silver",
}
# Things that have a color by themselves.
_THINGS: Mapping[Rgb, str] = {
    (135, 195, 240): "sky",
    (210, 222, 232): "cloud fog mist smoke",
    (255, 205, 50): "sun sunlight sunflower banana lemon",
    (25, 95, 165): "sea ocean water river lake pool pond",
    (95, 175, 65): "grass meadow lawn field pasture",
    (35, 115, 50): "tree forest bush shrub hedge plant leaf foliage vegetation palm cactus",
    (120, 155, 75): "hill moss",
    (228, 205, 145): "sand beach desert dune",
    (228, 240, 252): "snow ice glacier",
    (90, 90, 100): "road street asphalt highway runway",
    (165, 160, 160): "pavement sidewalk concrete",
    (135, 115, 100): "mountain rock stone cliff",
    (125, 90, 55): "earth soil dirt mud",
    (150, 105, 65): "wood bark",
    (175, 75, 55): "brick",
    (245, 95, 25): "fire flame lava carrot pumpkin",
    (205, 35, 45): "tomato strawberry cherry blood",
    (230, 195, 95): "wheat straw hay",
}
_COLOR_WORDS = {word: color for color, words in _NAMED.items() for word in words.split()}
_THING_WORDS = {word: color for color, words in _THINGS.items() for word in words.split()}
_SHADES = {"dark": 0.6, "deep": 0.75, "light": 1.35, "pale": 1.5, "bright": 1.1}


def meant_color(name: str) -> Rgb | None:
    """The color that a name asks for: a color that it names, or that of a thing such as the sky.

    A thing counts where it is what the name is about: "sea water", "sky-other", not "water bottle".

    Args:
        name: of a class, in English.

    Returns:
        Red, green and blue, 0 to 255; None for a name without a color.
    """
    words = [_singular(word) for word in re.findall(r"[^\W\d_]+|[-,(]", name.lower())]
    for number, word in enumerate(words):
        if word in _COLOR_WORDS:
            return _shaded(_COLOR_WORDS[word], words[number - 1] if number else "")
    # "sky-other" and "sky, night" are about the first part, and of that about its last word.
    about: list[str] = []
    for word in words:
        if not word.isalpha():
            break
        about.append(word)
    return _THING_WORDS.get(about[-1]) if about else None


def _singular(word: str) -> str:
    known = _COLOR_WORDS.keys() | _THING_WORDS.keys()
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((form for form in forms if form in known), word)


def _shaded(color: Rgb, shade: str) -> Rgb:
    """Darker toward black, lighter toward white."""
    factor = _SHADES.get(shade, 1.0)
    if factor <= 1:
        red, green, blue = (round(value * factor) for value in color)
    else:
        red, green, blue = (round(255 - (255 - value) / factor) for value in color)
    return red, green, blue
