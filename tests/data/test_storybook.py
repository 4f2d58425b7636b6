"""Is Storybook the same everywhere, are its labels right, are held-out words held out?"""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from fgaseg_d2.data.storybook import (
    ALL_CLASSES,
    HELD_OUT_CLASSES,
    SEEN_CLASSES,
    STUFF_CLASSES,
    dataset,
    draw_scene,
    register_storybook,
    write_dataset,
)
from fgaseg_d2.data.storybook.classes import (
    ATTRIBUTES,
    HELD_OUT_COMBOS,
    SEEN_COMBOS,
    THINGS,
)
from fgaseg_d2.data.storybook.shapes import SHAPES

ROOT = Path(__file__).parents[2]
SMALL = 48


def digest(scene):
    return hashlib.sha256(scene.image.tobytes() + scene.label.tobytes()).hexdigest()


def present(labels):
    return Counter(int(index) for label in labels for index in np.unique(label))


@pytest.fixture(scope="module")
def train_labels():
    return [draw_scene(seed, SMALL, SMALL).label for seed in range(500)]


@pytest.fixture(scope="module")
def unseen_labels():
    return [draw_scene(seed, SMALL, SMALL, held_out=True).label for seed in range(200)]


@pytest.fixture(autouse=True)
def _forget_registration():
    yield
    for split in dataset.SPLITS:
        for catalog in (DatasetCatalog, MetadataCatalog):
            if f"storybook_{split}" in catalog:
                catalog.remove(f"storybook_{split}")
    register_storybook()


def test_class_table_is_ordered_and_complete():
    assert SEEN_CLASSES[: len(STUFF_CLASSES)] == STUFF_CLASSES
    assert ALL_CLASSES == SEEN_CLASSES + HELD_OUT_CLASSES
    assert len(set(ALL_CLASSES)) == len(STUFF_CLASSES) + len(THINGS) * len(ATTRIBUTES)
    assert set(SHAPES) == set(THINGS)


def test_every_word_of_a_held_out_class_is_seen_elsewhere():
    attributes = Counter(combo.attribute for combo in SEEN_COMBOS)
    things = Counter(combo.thing for combo in SEEN_COMBOS)
    assert len(HELD_OUT_COMBOS) == 20
    assert min(attributes[word] for word in ATTRIBUTES) >= 8
    assert min(things[word] for word in THINGS) >= 6


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (90, 60)])
def test_scene_has_the_size_asked_for(height, width):
    scene = draw_scene(5, height, width)
    assert scene.image.shape == (height, width, 3)
    assert scene.label.shape == (height, width)
    assert scene.image.dtype == scene.label.dtype == np.uint8


def test_same_seed_gives_same_pixels_and_other_seeds_do_not():
    assert digest(draw_scene(3, 64, 64)) == digest(draw_scene(3, 64, 64))
    assert digest(draw_scene(3, 64, 64)) != digest(draw_scene(4, 64, 64))


def test_another_process_draws_the_same_pixels():
    code = (
        "import hashlib, sys; from fgaseg_d2.data.storybook import draw_scene\n"
        "scene = draw_scene(11, 64, 80); drawn = scene.image.tobytes() + scene.label.tobytes()\n"
        "sys.stdout.write(hashlib.sha256(drawn).hexdigest())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout == digest(draw_scene(11, 64, 80))


def test_train_scenes_show_every_seen_class_and_no_other(train_labels):
    seen = present(train_labels)
    assert set(seen) == set(range(len(SEEN_CLASSES)))


def test_seen_combos_are_equally_likely(train_labels):
    counts = present(train_labels)
    combos = np.array([counts[index] for index in range(len(STUFF_CLASSES), len(SEEN_CLASSES))])
    expected = combos.mean()
    # About Poisson: chi-square of 68 counts, mean 67 and deviation 12.
    assert ((combos - expected) ** 2 / expected).sum() < 67 + 4 * 12


def test_unseen_scenes_always_show_a_held_out_class(unseen_labels):
    assert all(label.max() >= len(SEEN_CLASSES) for label in unseen_labels)
    assert all(label.max() < len(ALL_CLASSES) for label in unseen_labels)
    assert set(present(unseen_labels)) >= set(range(len(SEEN_CLASSES), len(ALL_CLASSES)))


def test_things_stay_visible():
    sizes = []
    for seed in range(40):
        counts = np.bincount(draw_scene(seed, 96, 96).label.ravel(), minlength=len(ALL_CLASSES))
        sizes.extend(counts[len(STUFF_CLASSES) :][counts[len(STUFF_CLASSES) :] > 0])
    assert np.mean(np.array(sizes) > 0.01 * 96**2) > 0.95


@pytest.mark.parametrize(("height", "width"), [(64, 64), (60, 80)])
def test_larger_scene_has_the_same_layout(height, width):
    agreements = []
    for seed in range(8):
        small = draw_scene(seed, height, width).label
        large = draw_scene(seed, 4 * height, 4 * width).label
        agreements.append(np.mean(small == large[2::4, 2::4]))
    assert min(agreements) > 0.9
    assert np.mean(agreements) > 0.95


def test_an_attribute_covers_most_of_its_thing():
    reddest = []
    for seed in range(60):
        scene = draw_scene(seed, 96, 96)
        for thing in ("house", "umbrella", "mushroom"):
            if f"red {thing}" in SEEN_CLASSES:
                pixels = scene.image[scene.label == ALL_CLASSES.index(f"red {thing}")].astype(int)
                if len(pixels) > 200:
                    red = (pixels[:, 0] > 120) & (pixels[:, 0] > 1.8 * pixels[:, 1:].max(axis=1))
                    reddest.append(red.mean())
    assert len(reddest) > 5
    assert np.mean(reddest) > 0.35


@pytest.mark.parametrize(
    ("arguments", "message"), [((-1, 64, 64), "seed"), ((0, 16, 64), "at least 32 pixels")]
)
def test_scene_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_scene(*arguments)


def test_written_scenes_can_be_read_back(tmp_path):
    folder = write_dataset(tmp_path, "val", 3, height=64, width=80, workers=2)
    scene = draw_scene(dataset.scene_seed("val", 2), 64, 80)
    label = cv2.imread(str(folder / "labels" / "000002.png"), cv2.IMREAD_UNCHANGED)
    image = cv2.imread(str(folder / "images" / "000002.jpg"))[..., ::-1]
    assert label.ndim == 2
    np.testing.assert_array_equal(label, scene.label)
    assert np.abs(image.astype(int) - scene.image).mean() < 8


def test_splits_never_share_a_seed():
    last = 10_000_000 - 1
    seeds = [
        dataset.scene_seed(split, index, seed)
        for seed in (0, 1)
        for split in dataset.SPLITS
        for index in (0, last)
    ]
    assert seeds == sorted(set(seeds))
    assert not any(90_000_000 <= seed < 100_000_000 for seed in seeds)


def test_interrupted_writing_keeps_finished_scenes(tmp_path, monkeypatch):
    draw, drawn = dataset.draw_scene, []

    def draw_three(seed, *arguments):
        if len(drawn) == 3:
            raise KeyboardInterrupt
        drawn.append(seed)
        return draw(seed, *arguments)

    monkeypatch.setattr(dataset, "draw_scene", draw_three)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, "train", 5, height=32, width=32, workers=1)
    folder = tmp_path / "storybook" / "train"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert len(before) == 6
    drawn.clear()
    write_dataset(tmp_path, "train", 5, height=32, width=32, workers=1)
    assert len(drawn) == 2
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(folder.glob("*/*"))) == 10


def test_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(dataset.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        dataset.write_png(tmp_path / "label.png", np.zeros((4, 4), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_other_settings_are_refused(tmp_path):
    folder = write_dataset(tmp_path, "val", 1, height=32, width=32, workers=1)
    assert json.loads((folder / "dataset.json").read_text())["count"] == 1
    with pytest.raises(ValueError, match=r"'seed': 7.*'seed': 0"):
        write_dataset(tmp_path, "val", 1, seed=7, height=32, width=32, workers=1)


@pytest.mark.parametrize(("split", "count"), [("test", 1), ("val", 0)])
def test_writing_refuses_bad_arguments(tmp_path, split, count):
    with pytest.raises(ValueError, match="expected a"):
        write_dataset(tmp_path, split, count)


@pytest.mark.parametrize(("height", "width"), [(0, 64), (64, 31), (-1, 64)])
def test_a_refused_size_leaves_the_folder_alone(tmp_path, height, width):
    with pytest.raises(ValueError, match="at least 32 pixels"):
        write_dataset(tmp_path, "val", 1, height=height, width=width)
    assert list(tmp_path.iterdir()) == []


def test_registered_splits_load(tmp_path):
    for split in dataset.SPLITS:
        write_dataset(tmp_path, split, 2, height=32, width=48, workers=1)
    register_storybook(tmp_path)
    register_storybook(tmp_path)
    records = DatasetCatalog.get("storybook_val")
    assert [Path(record["file_name"]).name for record in records] == ["000000.jpg", "000001.jpg"]
    for record in records:
        assert Path(record["file_name"]).stem == Path(record["sem_seg_file_name"]).stem
        assert (record["height"], record["width"]) == (32, 48)
    train, unseen = (MetadataCatalog.get(f"storybook_{split}") for split in ("train", "unseen"))
    assert train.stuff_classes == list(SEEN_CLASSES)
    assert unseen.stuff_classes == list(ALL_CLASSES)
    assert len(unseen.stuff_colors) == len(set(unseen.stuff_colors)) == len(ALL_CLASSES)
    assert train.ignore_label == 255
    assert train.evaluator_type == "sem_seg"


def test_missing_data_set_names_the_command(tmp_path):
    register_storybook(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"python tools/make_storybook\.py --root"):
        DatasetCatalog.get("storybook_train")


def test_incomplete_data_set_is_not_loaded(tmp_path):
    folder = write_dataset(tmp_path, "train", 2, height=32, width=32, workers=1)
    (folder / "labels" / "000001.png").unlink()
    register_storybook(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected 2 scenes .* got 1"):
        DatasetCatalog.get("storybook_train")


@pytest.fixture
def make_storybook(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_storybook

    return make_storybook


def test_tool_reports_errors_in_one_line(make_storybook, tmp_path, capsys):
    (tmp_path / "file").touch()
    for arguments, message in (
        (["--root", tmp_path / "new", "--size", "0"], "at least 32 pixels"),
        (["--root", tmp_path / "file", "--val", "1"], "file"),
        (["--scene", "1", "--output", tmp_path / "file" / "scene.png"], "file"),
    ):
        with pytest.raises(SystemExit) as stop:
            make_storybook.main([str(argument) for argument in arguments])
        error = capsys.readouterr().err
        assert stop.value.code == 1
        assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert not (tmp_path / "new").exists()


def test_tool_draws_a_single_scene(make_storybook, tmp_path):
    output = tmp_path / "scene.png"
    make_storybook.main(
        ["--scene", "9", "--output", str(output), "--height", "48", "--width", "64"]
    )
    drawn = cv2.imread(str(output))[..., ::-1]
    np.testing.assert_array_equal(drawn, draw_scene(9, 48, 64).image)
