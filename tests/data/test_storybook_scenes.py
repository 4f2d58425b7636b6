"""Are Storybook's scenes the same everywhere, are their labels right, can a person name things?"""

import colorsys
import hashlib
from collections import Counter

import numpy as np
import pytest

from fgaseg_d2.storybook import (
    FULL_CLASSES,
    PRODUCTS,
    SEEN_CLASSES,
    STUFF_CLASSES,
    TRAINING_PRODUCTS,
    UNSEEN_CLASSES,
    draw_scene,
    find_products,
)
from fgaseg_d2.storybook.canvas import Canvas
from fgaseg_d2.storybook.classes import COLORS, PATTERNS
from fgaseg_d2.storybook.dice import Dice
from fgaseg_d2.storybook.layout import place_things
from fgaseg_d2.storybook.terrain import plan_terrain
from fgaseg_d2.storybook.vocabularies import GENERALIZED, SEEN

SMALL = 48
# Of the scenes of test_pixels_are_those_of_every_other_machine.
PINNED = "2ab7080554259805dae5db5eaf0b767f705260502b8e56f2573c9fa7092c668f"
HUES = {"red": 358, "blue": 221, "yellow": 51, "green": 131, "purple": 284}


def digest(scene):
    return hashlib.sha256(scene.image.tobytes() + scene.label.tobytes()).hexdigest()


def present(labels):
    """In how many label maps each class occurs."""
    return Counter(int(index) for label in labels for index in np.unique(label))


@pytest.fixture(scope="module")
def train_labels():
    return [draw_scene(seed, SMALL, SMALL).label for seed in range(250)]


@pytest.fixture(scope="module")
def benchmark_labels():
    return [draw_scene(seed, SMALL, SMALL, PRODUCTS).label for seed in range(200)]


def placements(count, products=TRAINING_PRODUCTS):
    """The things of some square scenes."""
    for seed in range(count):
        dice = Dice(seed)
        water = seed % 2 == 0
        yield place_things(dice, plan_terrain(dice, 1.0, 1.0, water), products, water)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (90, 60)])
def test_scene_has_the_size_asked_for(height, width):
    scene = draw_scene(5, height, width)
    assert scene.image.shape == (height, width, 3)
    assert scene.label.shape == (height, width)
    assert scene.image.dtype == scene.label.dtype == np.uint8
    assert scene.label.max() < len(FULL_CLASSES)


def test_same_seed_gives_same_pixels_and_other_seeds_do_not():
    assert digest(draw_scene(3, 64, 64)) == digest(draw_scene(3, 64, 64))
    assert digest(draw_scene(3, 64, 64)) != digest(draw_scene(4, 64, 64))


def test_pixels_are_those_of_every_other_machine():
    """A change of these is a new version of Storybook, and its published hashes change."""
    scenes = hashlib.sha256()
    for seed in range(12):
        height, width = ((128, 128), (60, 90), (90, 60))[seed % 3]
        scene = draw_scene(seed, height, width, PRODUCTS)
        scenes.update(scene.image.tobytes() + scene.label.tobytes())
    assert scenes.hexdigest() == PINNED


def test_train_scenes_show_all_that_is_seen_and_nothing_held_out(train_labels):
    """By instance: no thing whose colour or pattern is held out for it, drawn or patterned."""
    shown = {FULL_CLASSES[index] for index in present(train_labels)}
    for name in shown - set(STUFF_CLASSES):
        *look, noun = name.split()
        assert not any(f"{word} {noun}" in UNSEEN_CLASSES for word in look), name
    assert set(present(map(SEEN.labels, train_labels))) == set(range(len(SEEN_CLASSES)))


def test_test_scenes_show_all_pairs(benchmark_labels):
    shown = present(map(GENERALIZED.labels, benchmark_labels))
    assert set(shown) == set(range(len(GENERALIZED.classes)))


@pytest.mark.parametrize(
    ("labels", "vocabulary", "size"),
    [("train_labels", SEEN, 74), ("benchmark_labels", GENERALIZED, 96)],
)
def test_pairs_are_equally_likely(labels, vocabulary, size, request):
    counts = present(map(vocabulary.labels, request.getfixturevalue(labels)))
    pairs = np.array([counts[index] for index in range(10, len(vocabulary.classes))])
    assert len(pairs) == size
    # About Poisson: chi-square has mean size - 1 and variance 2 (size - 1).
    chi_square = ((pairs - pairs.mean()) ** 2 / pairs.mean()).sum()
    assert chi_square < size - 1 + 4 * np.sqrt(2 * (size - 1))


def test_scenes_have_up_to_twelve_things_and_more_small_than_large_ones():
    scenes = list(placements(60))
    assert min(map(len, scenes)) >= 3 and max(map(len, scenes)) <= 12
    assert 6 < np.mean([len(things) for things in scenes]) < 9
    sizes = np.array([thing.size for things in scenes for thing in things])
    assert sizes.min() >= 0.12 and sizes.max() < 0.52
    assert (sizes < 0.25).mean() > 0.5 > 0.25 > (sizes > 0.33).mean()
    assert (sizes**2)[(sizes > 0.2) & (sizes < 0.4)].sum() > 0.75 * (sizes**2).sum()


def test_patterned_things_are_large_enough_to_show_it():
    for things in placements(30):
        for thing in things:
            assert thing.product.pattern == "plain" or thing.size >= 0.2


def test_what_stands_farther_is_smaller():
    near, far = [], []
    for things in placements(80):
        for thing in things:
            if thing.product.thing == "house":
                (near if thing.y > 0.85 else far).append(thing.size)
    assert len(near) > 10 and len(far) > 10
    assert np.mean(near) > 1.15 * np.mean(far)


def test_nearer_things_leave_half_of_each_thing_visible():
    """Counted here by drawing the painted parts at another resolution."""
    shares = []
    for things in placements(25):
        canvas = Canvas(200, 200)
        whole = []
        for index, thing in enumerate(things):
            alone = Canvas(200, 200)
            polygons = [
                polygon
                for part, drawn in zip(thing.parts, thing.polygons)
                for polygon in drawn
                if part.color is None
            ]
            alone.mark(polygons, 1)
            whole.append((alone.label == 1).sum())
            canvas.mark([polygon for drawn in thing.polygons for polygon in drawn], 255)
            canvas.mark(polygons, index)
        shares += [(canvas.label == index).sum() / whole[index] for index in range(len(things))]
    assert min(shares) > 0.42  # a little less where a thin part covers it as well
    assert 0.1 < np.mean(np.array(shares) < 0.95) < 0.7  # things do cover each other


@pytest.mark.parametrize(("height", "width"), [(64, 64), (60, 80)])
def test_larger_scene_has_the_same_layout(height, width):
    agreements = []
    for seed in range(8):
        small = draw_scene(seed, height, width).label
        large = draw_scene(seed, 4 * height, 4 * width).label
        agreements.append(np.mean(small == large[2::4, 2::4]))
    assert min(agreements) > 0.9
    assert np.mean(agreements) > 0.94


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("pattern", ["", *PATTERNS])
def test_color_and_pattern_can_be_told(color, pattern):
    """A fish shows hardly anything but its paint: hues are counted under all kinds of light."""
    name = " ".join(word for word in (color, pattern, "fish") if word)
    products, pixels = find_products(name), []
    for seed in range(10):
        scene = draw_scene(seed, 128, 128, products)
        pixels.append(scene.image[scene.label == FULL_CLASSES.index(name)])
    hues = Counter()
    colored = 0
    for red, green, blue in np.concatenate(pixels)[::7] / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        if saturation > 0.4 and value > 0.4:
            colored += 1
            distances = {
                word: abs((360 * hue - degrees + 180) % 360 - 180) for word, degrees in HUES.items()
            }
            hues[min(distances, key=distances.get)] += 1
    assert hues.most_common(1)[0][0] == color
    assert hues[color] > 0.8 * colored
    share = colored / len(np.concatenate(pixels)[::7])
    assert 0.15 < share < 0.6 if pattern else share > 0.45


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 64, 64), "seed"),
        ((0, 16, 64), "at least 32 pixels"),
        ((0, 64, 64, ()), "one product or more"),
    ],
)
def test_scene_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_scene(*arguments)


def test_stream_is_that_of_pcg64():
    """The first numbers of numpy.random.default_rng(0), as every introduction to it prints them."""
    dice = Dice(0)
    drawn = [dice.random() for _ in range(3)]
    assert drawn == [0.6369616873214543, 0.2697867137638703, 0.04097352393619469]


def test_numbers_stay_in_their_ranges():
    dice = Dice(1)
    drawn = [dice.integer(2, 5) for _ in range(300)]
    assert Counter(drawn).keys() == {2, 3, 4}
    numbers = [dice.uniform(-1, 3) for _ in range(300)]
    assert -1 <= min(numbers) < -0.9 and 2.9 < max(numbers) <= 3
    assert all(number * 2**20 == int(number * 2**20) for number in numbers)
    assert sorted(dice.shuffled("abcdef")) == list("abcdef")


def test_children_do_not_depend_on_what_was_drawn():
    first, second = Dice(5), Dice(5)
    first.random()
    assert [c.random() for c in first.spawn(2)] == [c.random() for c in second.spawn(2)]
