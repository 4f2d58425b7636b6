"""Storybook on disk: drawn once, on first use, continued after an interruption, verified."""

import errno
import json
import multiprocessing
import os
import signal
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from filelock import FileLock

from fgaseg_d2.data import register_storybook
from fgaseg_d2.data.datasets.storybook import DATASETS
from fgaseg_d2.storybook import (
    FULL_CLASSES,
    PRODUCTS,
    SEEN_CLASSES,
    dataset,
    draw_scene,
    drawing,
    vocabularies,
    write_dataset,
)
from tests.processes import PATIENCE, alive, children_of, wait_until

TINY = {"height": 32, "width": 48}


@pytest.fixture(autouse=True)
def _forget_registration():
    yield
    register_storybook()


@pytest.fixture
def few_scenes(monkeypatch):
    """The published data set shrinks to a few scenes."""
    for split, count in {"train": 3, "val": 2, "test": 24}.items():
        fewer = replace(dataset.SPLITS[split], count=count)
        monkeypatch.setitem(dataset.SPLITS, split, fewer)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The seeds that any process has drawn so far, each as often as it was drawn."""
    log, draw = tmp_path / "drawn.txt", drawing.draw_scene

    def draw_and_note(seed, *arguments):
        with log.open("a") as file:
            file.write(f"{seed}\n")
        return draw(seed, *arguments)

    monkeypatch.setattr(drawing, "draw_scene", draw_and_note)
    log.touch()
    return lambda: Counter(int(line) for line in log.read_text().splitlines())


def process(function, *arguments):
    """Run a function in a process of its own, which knows what a test has replaced."""
    started = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    started.start()
    return started


def test_written_scenes_can_be_read_back(tmp_path):
    for split, products in (("val", dataset.TRAINING_PRODUCTS), ("test", PRODUCTS)):
        folder = write_dataset(tmp_path, split, 3, height=64, width=80, workers=2)
        scene = draw_scene(dataset.scene_seed(split, 2), 64, 80, products)
        image = cv2.imread(str(folder / "images" / "000002.png"))[..., ::-1]
        np.testing.assert_array_equal(image, scene.image)
        for vocabulary in dataset.SPLITS[split].vocabularies:
            path = folder / f"labels_{vocabulary.name}" / "000002.png"
            label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(label, vocabulary.table[scene.label])


def test_training_pictures_are_jpeg_and_close(tmp_path):
    folder = write_dataset(tmp_path, "train", 1, height=64, width=80, workers=1)
    image = cv2.imread(str(folder / "images" / "000000.jpg"))[..., ::-1]
    drawn = draw_scene(dataset.scene_seed("train", 0), 64, 80).image
    assert np.abs(image.astype(int) - drawn).mean() < 8


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


def test_registered_names_have_their_words_and_files(tmp_path):
    for split in dataset.SPLITS:
        write_dataset(tmp_path, split, 2, **TINY, workers=1)
    register_storybook(tmp_path)
    register_storybook(tmp_path)
    sizes = {}
    for name in DATASETS:
        metadata, records = MetadataCatalog.get(name), DatasetCatalog.get(name)
        sizes[name] = len(metadata.stuff_classes), len(metadata.unseen_classes)
        assert set(metadata.unseen_classes) <= set(metadata.stuff_classes)
        assert len(set(map(tuple, metadata.stuff_colors))) == len(metadata.stuff_classes)
        assert (metadata.ignore_label, metadata.evaluator_type) == (255, "sem_seg")
        assert [Path(record["file_name"]).stem for record in records] == ["000000", "000001"]
        for record in records:
            assert Path(record["file_name"]).parent == Path(metadata.image_root)
            assert Path(record["sem_seg_file_name"]).parent == Path(metadata.sem_seg_root)
            assert Path(record["file_name"]).stem == Path(record["sem_seg_file_name"]).stem
            label = cv2.imread(record["sem_seg_file_name"], cv2.IMREAD_UNCHANGED)
            assert label.shape == (record["height"], record["width"]) == (32, 48)
            assert set(np.unique(label)) <= {*range(len(metadata.stuff_classes)), 255}
    assert sizes == {
        "storybook_train": (84, 0),
        "storybook_train_nouns": (22, 0),
        "storybook_train_attributes": (18, 0),
        "storybook_train_full": (162, 0),
        "storybook_val": (84, 0),
        "storybook_generalized_val": (106, 22),
        "storybook_nouns_val": (22, 0),
        "storybook_transductive_train": (106, 22),
        "storybook_seen_test": (84, 0),
        "storybook_unseen_test": (22, 22),
        "storybook_generalized_test": (106, 22),
        "storybook_nouns_test": (22, 0),
        "storybook_attributes_test": (18, 0),
        "storybook_full_test": (250, 88),
        "storybook_synonyms_test": (84, 0),
    }
    assert MetadataCatalog.get("storybook_train").stuff_classes == list(SEEN_CLASSES)
    assert MetadataCatalog.get("storybook_full_test").stuff_classes == list(FULL_CLASSES)


def test_unseen_pairs_are_shown_and_not_labelled_in_transductive_training():
    """Against the labels of all pairs in the same scenes, a product at a time."""
    for product in PRODUCTS:
        full = np.array([[vocabularies.FULL.classes.index(product.name)]], np.uint8)
        label = int(vocabularies.TRANSDUCTIVE.labels(full)[0, 0])
        assert label == (
            255 if product.pair.held_out else vocabularies.GENERALIZED.labels(full)[0, 0]
        )
    split = dataset.SPLITS["transductive"]
    scenes = [
        draw_scene(dataset.scene_seed("transductive", index), 64, 64, split.products)
        for index in range(40)
    ]
    shown = {int(value) for scene in scenes for value in np.unique(scene.label)}
    held_out = {vocabularies.FULL.classes.index(p.name) for p in PRODUCTS if p.pair.held_out}
    assert len(shown & held_out) > 10


def test_validation_scenes_with_unseen_pairs_are_in_no_other_split():
    for index in (0, 299):
        seed = dataset.scene_seed("generalized_val", index)
        assert seed == 30_000_000 + index


@pytest.mark.parametrize("name", ["storybook_train_full", "storybook_val", "storybook_nouns_test"])
def test_first_use_draws_and_the_second_does_not(tmp_path, few_scenes, drawn, name):
    register_storybook(tmp_path)
    records = DatasetCatalog.get(name)
    split = DATASETS[name][0]
    count = {"train": 3, "val": 2, "test": 24}[split]
    assert len(records) == count and all(record["height"] == 256 for record in records)
    assert drawn() == Counter(dataset.scene_seed(split, index) for index in range(count))
    assert DatasetCatalog.get(name) == records
    assert drawn().total() == count


def test_several_processes_draw_each_scene_once(tmp_path, few_scenes, drawn):
    """As the ranks of a run do, and users who start two runs."""
    register_storybook(tmp_path)
    names = ["storybook_seen_test", "storybook_full_test", "storybook_seen_test"]
    ranks = [process(DatasetCatalog.get, name) for name in names]
    for rank in ranks:
        rank.join()
        assert rank.exitcode == 0
    assert drawn() == Counter(dataset.scene_seed("test", index) for index in range(24))


def test_a_killed_process_leaves_whole_scenes_and_no_lock(tmp_path, drawn):
    run = process(partial(write_dataset, workers=2), tmp_path, "test", 1_000_000)
    folder = dataset.split_folder(tmp_path, "test")
    wait_until(lambda: len(dataset.finished_scenes(folder, "test")) > 4)
    workers = children_of(run.pid)
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    # A worker may finish the file at hand before it sees that it is alone.
    wait_until(lambda: not any(alive(pid) for pid in workers))
    with FileLock(folder.parent / ".test.lock", timeout=PATIENCE):
        finished = dataset.finished_scenes(folder, "test")
    assert 4 < len(finished) < 1_000_000 and len(workers) == 2
    assert not list(folder.rglob(".partial-*"))
    for name in finished:
        for path in folder.glob(f"*/{name}.png"):
            assert cv2.imread(str(path)) is not None


def test_interrupted_writing_keeps_finished_scenes(tmp_path, monkeypatch, drawn):
    draw = drawing.draw_scene

    def draw_three(*arguments):
        if drawn().total() == 3:
            raise KeyboardInterrupt
        return draw(*arguments)

    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(drawing, "draw_scene", draw_three)
        write_dataset(tmp_path, "train", 5, **TINY, workers=1)
    folder = tmp_path / "storybook" / "train"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert len(before) == 3 * 5  # a picture and four label maps
    (folder / "labels_nouns" / "000001.png").unlink()
    register_storybook(tmp_path)
    assert len(DatasetCatalog.get("storybook_train")) == 5
    assert drawn() == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1}
    kept = [path for path in before if path.stem in ("000000", "000002")]
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)
    assert len(list(folder.glob("*/*"))) == 5 * 5


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_gives_one_line_and_leaves_no_half_written_file(tmp_path, monkeypatch, workers):
    def fail(self, data):
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="expected to draw storybook_val into .*No space left"):
        write_dataset(tmp_path, "val", 4, **TINY, workers=workers)
    folder = tmp_path / "storybook" / "val"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["dataset.json"]


@pytest.mark.parametrize("finished", [False, True])
def test_what_a_killed_run_left_goes_with_the_next(tmp_path, finished):
    folder = write_dataset(tmp_path, "val", 2, **TINY, workers=1)
    if not finished:
        (folder / "images" / "000001.png").unlink()
    for place in ("images", "labels_seen", ""):
        (folder / place / ".partial-0a1b2c3d.png").write_bytes(b"half")
    write_dataset(tmp_path, "val", 2, **TINY, workers=1)
    assert not list(tmp_path.rglob(".partial-*"))
    assert len(dataset.finished_scenes(folder, "val")) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    register_storybook(tmp_path / "file")
    with pytest.raises(OSError, match=r"draw storybook_test into .*file.*DETECTRON2_DATASETS"):
        DatasetCatalog.get("storybook_seen_test")


def test_a_finished_data_set_is_only_read(tmp_path, monkeypatch, few_scenes):
    write_dataset(tmp_path, "val", 2, workers=1)
    monkeypatch.setattr(drawing, "turn", None)  # neither locked nor written
    register_storybook(tmp_path)
    assert len(DatasetCatalog.get("storybook_val")) == 2


def test_a_data_set_of_the_users_own_is_used_and_named(tmp_path, caplog):
    write_dataset(tmp_path, "test", 2, seed=7, **TINY, workers=1)
    register_storybook(tmp_path)
    with caplog.at_level("WARNING"):
        records = DatasetCatalog.get("storybook_seen_test")
    assert len(records) == 2
    assert "seed=7" in caplog.text and "count=500" in caplog.text


def test_other_settings_are_refused(tmp_path):
    folder = write_dataset(tmp_path, "val", 1, **TINY, workers=1)
    assert json.loads((folder / "dataset.json").read_text())["count"] == 1
    with pytest.raises(ValueError, match=r"'seed': 7.*'seed': 0"):
        write_dataset(tmp_path, "val", 1, seed=7, **TINY, workers=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1, "split": "val", "count": 3}', "expected version 2 .* got version 1"),
        (
            '{"version": 2, "split": "val", "count": 0, "seed": 0, "height": 64, "width": 64}',
            "count",
        ),
        ('{"version": 2, "split": "val"', "dataset.json"),
        ("[]", "dataset.json"),
    ],
)
def test_a_folder_of_another_version_is_refused(tmp_path, text, message):
    folder = tmp_path / "storybook" / "val"
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(text)
    register_storybook(tmp_path)
    for use in (
        lambda: DatasetCatalog.get("storybook_val"),
        lambda: write_dataset(tmp_path, "val", 1, **TINY),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            use()
        assert str(folder) in str(caught.value) and "remove" in str(caught.value)
    assert list(folder.iterdir()) == [folder / "dataset.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unseen", 1), "expected a split of train, val, test"),
        (("val", 0), "expected a count"),
        (("val", 1, -1), "expected a seed"),
        (("val", 1, 0, 0, 64), "at least 32 pixels"),
        (("val", 1, 0, 64, 31), "at least 32 pixels"),
    ],
)
def test_bad_arguments_leave_the_folder_alone(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []
