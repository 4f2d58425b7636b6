"""Overlays: colours that differ, pixels that stay in place, legends that are whole."""

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.drawing import legend as legend_module
from fgaseg_d2.drawing.legend import LegendEntry, add_legend
from fgaseg_d2.drawing.overlay import draw_overlay
from fgaseg_d2.vocabulary.colors import class_colors, default_colors


def halves(height, width):
    """A grey picture whose left half is class 0 and whose right half is class 1."""
    labels = np.zeros((height, width), np.int32)
    labels[:, width // 2 :] = 1
    return np.full((height, width, 3), 100, np.uint8), labels


@pytest.mark.parametrize("count", [0, 1, 2, 64, 65, 847])
def test_colors_are_distinct_and_stable(count):
    colors = class_colors(count)
    assert colors.shape == (count, 3)
    assert colors.dtype == np.uint8
    assert len({tuple(color) for color in colors}) == count
    assert (class_colors(900)[:count] == colors).all()


def test_many_colors_stay_apart():
    colors = class_colors(60).astype(float)
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    assert distance[~np.eye(60, dtype=bool)].min() > 25


def test_colors_are_a_copy():
    class_colors(3)[:] = 0
    assert class_colors(3).any()


def test_background_is_grey():
    colors = default_colors(["cat", "background"])
    assert tuple(colors[1]) == (128, 128, 128)
    assert (colors[0] == class_colors(1)[0]).all()


def test_blend_and_outline():
    image, labels = halves(480, 600)
    colors = np.array([[200, 0, 0], [0, 0, 200]], np.uint8)
    picture = draw_overlay(image, labels, ["a", "b"], colors, alpha=0.5, legend="none")
    assert picture.shape == image.shape
    assert np.abs(picture[100, 10].astype(int) - [150, 50, 50]).max() <= 1
    assert np.abs(picture[100, 590].astype(int) - [50, 50, 150]).max() <= 1
    assert picture[100, 300].min() > 180  # the line between them is light
    assert (draw_overlay(image, labels, ["a", "b"], alpha=0, legend="none")[:, 10] == 100).all()


def test_ignored_pixels_stay_bare_and_out_of_the_legend():
    image, labels = halves(480, 600)
    labels[labels == 1] = 255
    picture = draw_overlay(image, labels, ["a"], ignore_label=255, legend="none")
    assert (picture[:, 320:] == 100).all()
    assert not (picture[:, :280] == 100).all()
    assert draw_overlay(image, labels * 0 + 255, ["a"], ignore_label=255).shape[1] >= 600


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (96, 64), (480, 481), (2000, 300), (300, 2000)])
def test_any_size_gets_a_legend_and_even_sides(size):
    image, labels = halves(*size)
    picture = draw_overlay(image, labels, ["a", "b"])
    factor = -(-480 // max(size)) if max(size) < 480 else 1
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    assert picture.shape[0] >= size[0] * factor
    assert picture.shape[1] >= size[1] * factor
    assert picture.shape[0] * picture.shape[1] > size[0] * size[1] * factor**2
    assert picture.dtype == np.uint8


def test_small_pictures_are_enlarged_in_place():
    image, labels = halves(96, 64)
    picture = draw_overlay(image, labels, ["a", "b"], np.array([[255, 0, 0], [0, 0, 255]]), 1.0)
    assert tuple(picture[240, 100]) == (255, 0, 0)
    assert tuple(picture[240, 220]) == (0, 0, 255)


class Recorder:
    """Stands beside ImageDraw and notes what is written where."""

    def __init__(self, monkeypatch):
        self.boxes, self.words, self.size = [], [], None
        original = legend_module.ImageDraw.Draw

        def draw(canvas):
            self.size = canvas.size
            pen = original(canvas)
            text = pen.text

            def record(at, words, **options):
                place = {key: options[key] for key in ("font", "anchor")}
                self.boxes.append(pen.textbbox(at, words, **place))
                self.words.append(words)
                text(at, words, **options)

            pen.text = record
            return pen

        monkeypatch.setattr(legend_module.ImageDraw, "Draw", draw)


@pytest.mark.parametrize("size", [(64, 64), (400, 600), (600, 400), (100, 1500), (1500, 100)])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_no_text_is_cut_or_overlaps(monkeypatch, size, count):
    recorder = Recorder(monkeypatch)
    names = [f"class {i} " + "with a long description " * (i % 5) for i in range(count - 1)]
    names.append(
        "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft"
    )
    entries = [LegendEntry(name.strip(), (9, 9, 9), 1 / count) for name in names]
    add_legend(np.zeros((*size, 3), np.uint8), entries)
    assert "".join(recorder.words).replace(" ", "").count("class") == count - 1
    written = "".join(word for word in recorder.words if "%" not in word).replace(" ", "")
    assert written == "".join(names).replace(" ", "")
    for left, top, right, bottom in recorder.boxes:
        assert left >= 0
        assert top >= 0
        assert right <= recorder.size[0]
        assert bottom <= recorder.size[1]
        on_picture = left < size[1] and top < size[0]
        assert not on_picture
    canvas = np.zeros(recorder.size[::-1], np.uint8)
    for left, top, right, bottom in recorder.boxes:
        part = canvas[int(top) + 1 : int(bottom), int(left) + 1 : int(right)]
        assert not part.any()
        part[:] = 1


def test_legend_lists_present_classes_largest_first(monkeypatch):
    recorder = Recorder(monkeypatch)
    image, labels = halves(480, 600)
    labels[:, 100:] = 2
    draw_overlay(image, labels, ["few", "absent", "many"], words=False)
    assert recorder.words == ["many", "83.3%", "few", "16.7%"]


def test_a_single_pixel_never_reads_as_nothing(monkeypatch):
    recorder = Recorder(monkeypatch)
    image, labels = halves(480, 600)
    labels[:] = 0
    labels[0, 0] = 1
    draw_overlay(image, labels, ["a", "b"], words=False)
    assert recorder.words == ["a", "100.0%", "b", "<0.1%"]


@pytest.mark.parametrize("count", [5, 100])
def test_frames_of_a_video_have_one_layout(count):
    names = [f"class {i} " + "long " * (i % 7) for i in range(count)]
    generator = np.random.default_rng(0)
    image, _ = halves(240, 320)
    shapes = {
        draw_overlay(image, generator.integers(0, top, (240, 320)), names, legend="fixed").shape
        for top in (1, 2, count)
    }
    assert len(shapes) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": np.zeros((5, 5), np.int32)}, "resize"),
        ({"labels": np.full((8, 8), 2)}, "from 0 to 1, got 2"),
        ({"labels": np.full((8, 8), -1)}, "from 0 to 1, got -1"),
        ({"image_rgb": np.zeros((8, 8, 3))}, "uint8"),
        ({"alpha": 2}, "from 0 to 1, got 2"),
    ],
)
def test_bad_arguments(change, reason):
    arguments = {
        "image_rgb": np.zeros((8, 8, 3), np.uint8),
        "labels": np.zeros((8, 8), np.int32),
        "class_names": ["a", "b"],
    }
    with pytest.raises(ValueError, match=reason):
        draw_overlay(**(arguments | change))


def test_labels_of_any_integer_type():
    image, labels = halves(48, 60)
    pictures = [
        draw_overlay(image, labels.astype(kind), ["a", "b"], ignore_label=255)
        for kind in (np.uint8, np.int32, np.uint16, np.int64)
    ]
    assert all((picture == pictures[0]).all() for picture in pictures)


def test_overlay_can_be_saved(tmp_path):
    image, labels = halves(48, 60)
    Image.fromarray(draw_overlay(image, labels, ["a", "b"])).save(tmp_path / "a.png")
