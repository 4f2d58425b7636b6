"""Colors of classes: what a name asks for, and how far apart they are."""

import colorsys

import numpy as np
import pytest
from skimage.color import rgb2lab

from fgaseg_d2 import Vocabulary
from fgaseg_d2.vocabulary.color_words import meant_color
from fgaseg_d2.vocabulary.colors import class_colors, default_colors
from fgaseg_d2.vocabulary.parsing import benchmark_names

# Hues in degrees, as painters' wheels have them.
HUES = {"red": (345, 25), "yellow": (38, 75), "green": (75, 170), "blue": (195, 255)}


def hue(color):
    return 360 * colorsys.rgb_to_hls(*(float(value) / 255 for value in color))[0]


def lightness(color):
    return rgb2lab(np.array(color, np.uint8)[None, None])[0, 0, 0]


def distances(colors):
    """Between all colors, in CIELAB by another library."""
    lab = rgb2lab(np.asarray(colors)[None])[0]
    return np.linalg.norm(lab[:, None] - lab[None], axis=-1)


@pytest.mark.parametrize("name", HUES)
def test_every_class_that_names_a_color_has_it_and_its_neighbor_another_one(name):
    things = ("car", "house", "boat", "cat", "umbrella")
    colors = default_colors([f"{name} {thing}" for thing in things])
    low, high = HUES[name]
    for color in colors:
        turned = (hue(color) - low) % 360
        assert turned <= (high - low) % 360, (color, hue(color))
    apart = distances(colors)
    assert apart[~np.eye(5, dtype=bool)].min() > 10
    assert apart[np.arange(4), np.arange(1, 5)].min() > 20


def test_the_only_class_of_a_color_has_just_that():
    names = ["red car", "wheel", "sky", "grass", "background"]
    colors = default_colors(names)
    for name, color in zip(names, colors):
        if meant := meant_color(name):
            assert tuple(color) == meant
    assert tuple(colors[4]) == (128, 128, 128)


def test_things_have_their_colors():
    sky, grass, snow, road = map(
        meant_color, ("blue-grey sky"[-3:], "grass", "snow", "asphalt road")
    )
    assert 190 < hue(sky) < 230 and lightness(sky) > 65
    assert 75 < hue(grass) < 140
    assert lightness(snow) > 90 > 50 > lightness(road)
    assert meant_color("Trees") == meant_color("tree")
    assert meant_color("bushes") == meant_color("bush")
    assert meant_color("sky-other-merged") == meant_color("sky, night") == sky
    assert meant_color("sea water") == meant_color("water")


@pytest.mark.parametrize(
    "name", ["water bottle", "skyscraper", "t-shirt", "卡车", "7", "treehouse"]
)
def test_words_that_only_contain_such_a_thing_have_none(name):
    assert meant_color(name) is None


def test_shades():
    plain, dark, light = map(meant_color, ("green car", "dark green car", "light green car"))
    assert lightness(dark) + 10 < lightness(plain) < lightness(light) - 10
    assert meant_color("red and white flag") == meant_color("red")


def test_without_words_for_colors_the_colors_are_those_of_any_list():
    assert (default_colors([f"thing {k}" for k in range(70)]) == class_colors(70)).all()


@pytest.mark.parametrize("name", [name for name in benchmark_names() if "847" not in name])
def test_colors_of_a_benchmark_stay_apart_from_each_other_and_more_from_neighbors(name):
    colors = default_colors(Vocabulary.from_benchmark(name).class_names)
    apart = distances(colors) + 1e3 * np.eye(len(colors))
    many = len(colors) > 200
    assert apart.min() > (8 if many else 12)
    rows = np.arange(len(colors) - 1)
    assert apart[rows, rows + 1].min() > (9 if many else 15)


def test_colors_are_a_copy():
    default_colors(["red car", "wheel"])[:] = 0
    assert default_colors(["red car", "wheel"]).any(1).all()
