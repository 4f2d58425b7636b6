"""Words on regions, and the picture beside the overlay."""

import numpy as np

from fgaseg_d2.drawing.overlay import draw_overlay
from fgaseg_d2.drawing.words import write_words

GREY = np.full((480, 640, 3), 100, np.uint8)


def scene():
    """Left and right half, a speck of a third class, and a strip that is too thin for type."""
    labels = np.zeros((480, 640), np.int32)
    labels[:, 320:] = 1
    labels[100:104, 100:104] = 2
    labels[470:] = 3
    return labels


def written(labels, names, picture=GREY):
    """Where write_words changes the picture."""
    return (write_words(picture, labels, names) != picture).any(-1)


def test_each_word_stands_on_its_own_region():
    labels = scene()
    for index, name in enumerate(["meadow", "sky"]):
        names = [""] * 4
        names[index] = name
        changed = written(labels, names)
        assert changed.sum() > 100 and (labels[changed] == index).all()
        rows, columns = np.nonzero(changed)
        assert np.ptp(rows) < 30 and np.ptp(columns) < 100


def test_small_regions_get_no_word():
    labels = scene()
    assert not written(labels, ["", "", "speck", "thin strip"]).any()


def test_the_largest_piece_has_the_word():
    labels = np.zeros((480, 640), np.int32)
    labels[50:150, 50:250] = 1
    labels[250:450, 300:600] = 1
    rows, columns = np.nonzero(written(labels, ["", "boat"]))
    assert rows.min() >= 250 and columns.min() >= 300


def test_words_do_not_lie_over_each_other():
    labels = np.kron(np.arange(30).reshape(6, 5), np.ones((80, 128), int)).astype(np.int32)
    names = [f"long words {k}" for k in range(30)]
    alone = sum(
        written(labels, ["" if k != index else name for k, name in enumerate(names)]).astype(int)
        for index in range(30)
    )
    assert alone.max() == 1 and (written(labels, names) == (alone > 0)).all()


def test_long_words_break_where_a_line_has_no_room():
    labels = np.zeros((480, 640), np.int32)
    labels[100:200, 100:200] = 1
    rows, columns = np.nonzero(written(labels, ["", "checked mushroom"]))
    assert np.ptp(rows) > 20 and np.ptp(columns) < 100


def test_labels_without_a_class_and_of_another_size():
    labels = np.full((240, 320), -1, np.int32)
    labels[20:220, 20:150] = 0
    changed = written(labels, ["cat"])
    rows, columns = np.nonzero(changed)
    assert changed.any() and columns.max() < 300 and rows.min() > 40
    assert not written(np.full((24, 32), -1, np.int32), []).any()


def test_only_pictures_have_words_and_videos_where_asked():
    labels, names = scene(), ["meadow", "sky", "speck", "thin strip"]
    bare = {
        legend: draw_overlay(GREY, labels, names, legend=legend, words=False)
        for legend in ("present", "fixed", "none")
    }
    for legend, expected in bare.items():
        changed = draw_overlay(GREY, labels, names, legend=legend) != expected
        assert changed.any() == (legend == "present")
    assert (draw_overlay(GREY, labels, names, legend="none", words=True) != bare["none"]).any()


def test_the_picture_beside_the_overlay():
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    names = ["meadow", "sky", "speck", "thin strip"]
    alone = draw_overlay(image, scene(), names, legend="none")
    both = draw_overlay(image, scene(), names, legend="none", beside=True)
    assert (both[:, :640] == image).all() and (both[:, -640:] == alone).all()
    assert (both[:, 640:-640] == 255).all() and 0 < both.shape[1] - 1280 < 40
    with_legend = draw_overlay(image, scene(), names, beside=True)
    assert with_legend.shape[0] > 480 and with_legend.shape[1] >= both.shape[1]
    small = draw_overlay(image[:60, :80], scene()[:60, :80], names, legend="none", beside=True)
    assert small.shape[0] == 360
