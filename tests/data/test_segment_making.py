"""make_segments: label maps and COCO's instances as files of segments, and runs that are killed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.segment_checking import check_segment_file
from fgaseg_d2.data.segment_making.coco import instance_mask
from fgaseg_d2.data.segment_making.labelled import LabelMaps
from fgaseg_d2.data.segment_making.made import Made
from fgaseg_d2.data.segment_making.writing import unfinished_path, write_records
from fgaseg_d2.io import partial_files
from fgaseg_d2.io.coco_masks import decoded_mask
from tests import datasets
from tests.conftest import ROOT, tool
from tests.engine.training import losses, train, training_config
from tests.processes import PATIENCE

SIZE = (24, 32)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def masks_of(record):
    """Each mask with its texts."""
    size = (record["height"], record["width"])
    return [
        (decoded_mask(one["rle"], size, "here"), [text["t"] for text in one["texts"]])
        for one in record["segments"]
    ]


def by_flooding(label, value):
    """Connected pieces, corners too, found pixel by pixel; each a set of places."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(label == value))}
    while left:
        piece, front = set(), [left.pop()]
        while front:
            y, x = front.pop()
            piece.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            front += near
        yield frozenset(piece)


@pytest.fixture
def labelled(tmp_path):
    """Three pictures of coarse noise in four classes, some of it ignored."""
    rng = np.random.default_rng(0)
    records = []
    for index in range(3):
        label = rng.choice([0, 1, 2, 3, 255], (SIZE[0] // 2, SIZE[1] // 2)).astype(np.uint8)
        label = label.repeat(2, 0).repeat(2, 1)
        picture = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        records.append(datasets.write_pair(tmp_path, str(index), picture, label))
    with datasets.registered("labelled_for_segments", records):
        yield records


def made(folder, *options, code=0):
    path = folder / "made.jsonl"
    assert tool("make_segments").main([str(path), *map(str, options)]) == code
    return read(path)


def label_of(record):
    return np.asarray(Image.open(record["sem_seg_file_name"]))


def test_classes_of_label_maps_become_segments(labelled, tmp_path):
    records = made(tmp_path, "--dataset", "labelled_for_segments")
    assert [record["file_name"] for record in records] == ["0.png", "1.png", "2.png"]
    for record, pair in zip(records, labelled, strict=True):
        label = label_of(pair)
        found = masks_of(record)
        assert [texts for _, texts in found] == [[name] for name in datasets.CLASSES]
        for value, (mask, _) in enumerate(found):
            np.testing.assert_array_equal(mask, label == value)
    assert check_segment_file(tmp_path / "made.jsonl").problems == []


def test_pieces_are_connected_and_small_ones_left_out(labelled, tmp_path, capsys):
    records = made(tmp_path, "--dataset", "labelled_for_segments", "--pieces", "--least", "9")
    small = 0
    for record, pair in zip(records, labelled, strict=True):
        label = label_of(pair)
        for value, name in enumerate(datasets.CLASSES):
            pieces = set(by_flooding(label, value))
            large = {piece for piece in pieces if len(piece) >= 9}
            small += len(pieces) - len(large)
            assert large == {
                frozenset(map(tuple, np.argwhere(mask).tolist()))
                for mask, texts in masks_of(record)
                if texts == [name]
            }
    assert small and f"left out: {small} below 9 pixels" in capsys.readouterr().out


def test_unseen_classes_and_the_background_are_left_out(labelled, tmp_path):
    names = ["background", "red block, brick", "blue block", "grey block"]
    with datasets.registered("labelled_with_unseen", labelled, stuff_classes=names):
        options = ("--dataset", "labelled_with_unseen", "--unseen", "grey block")
        texts = {text for record in made(tmp_path, *options) for _, (text,) in masks_of(record)}
        assert texts == {"red block", "blue block"}
        records = made(tmp_path, *options, "--all-names")
        assert ["red block", "brick"] in [texts for _, texts in masks_of(records[0])]


def test_pictures_are_found_from_a_folder_that_is_given(labelled, tmp_path):
    elsewhere = tmp_path / "below" / "deeper"
    options = ("--dataset", "labelled_for_segments")
    assert made(elsewhere, *options)[0]["file_name"] == (tmp_path / "0.png").as_posix()
    assert made(elsewhere, *options, "--images", tmp_path)[0]["file_name"] == "0.png"
    assert check_segment_file(elsewhere / "made.jsonl", tmp_path).problems == []


def test_pictures_that_cannot_be_used_are_named_and_the_others_written(labelled, tmp_path, capsys):
    label = label_of(labelled[0]).copy()
    label[3, 3] = 9
    Image.fromarray(label).save(labelled[0]["sem_seg_file_name"])
    Image.fromarray(label_of(labelled[1])[:9]).save(labelled[1]["sem_seg_file_name"])
    records = made(tmp_path, "--dataset", "labelled_for_segments", code=1)
    assert [record["file_name"] for record in records] == ["2.png"]
    printed = capsys.readouterr()
    assert "0.label.png: expected label values 0 .. 3" in printed.out
    assert "1.png has 24 x 32" in printed.out and "made.jsonl: 1 pictures" in printed.out
    assert "got 2 annotations or pictures that cannot" in printed.err


def rectangle(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def inside(*boxes):
    """Pixels of rectangles."""
    mask = np.zeros(SIZE, np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def compressed(mask):
    found = coco_mask.encode(np.asfortranarray(mask))
    return found | {"counts": found["counts"].decode()}


def coco(folder, annotations, **more):
    """A file of instances in two pictures."""
    images = [{"id": 7, "file_name": "a.png", "height": 24, "width": 32}]
    images.append(images[0] | {"id": 8, "file_name": "b.png"})
    for image in images:
        Image.new("RGB", (32, 24), "navy").save(folder / image["file_name"])
    categories = [{"id": 3, "name": "cat"}]
    categories.append({"id": 5, "name": "sofa", "synonyms": ["sofa", "love_seat"]})
    base = {"image_id": 7, "category_id": 3, "iscrowd": 0}
    annotations = [{"id": i} | base | one for i, one in enumerate(annotations)]
    content = {"images": images, "annotations": annotations, "categories": categories} | more
    path = folder / "instances.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


GOOD = (
    {"segmentation": [rectangle(2, 3, 12, 9), rectangle(20, 3, 30, 20)]},
    {"segmentation": compressed(inside((0, 0, 9, 9))), "category_id": 5},
    {"segmentation": {"size": SIZE, "counts": [24, 48, 696]}, "image_id": 8},
    {"segmentation": {"size": SIZE, "counts": [768]}, "iscrowd": 1},
    {"segmentation": [rectangle(2, 3, 4, 5)]},
)


def test_instances_become_segments_with_the_names_of_their_categories(tmp_path, capsys):
    path = coco(tmp_path, GOOD)
    first, second = made(tmp_path, "--coco", path)
    (cat, names), (sofa, others) = masks_of(first)
    assert names == ["cat"] and others == ["sofa", "love seat"]
    np.testing.assert_array_equal(cat, inside((2, 3, 12, 9), (20, 3, 30, 20)))
    np.testing.assert_array_equal(sofa, inside((0, 0, 9, 9)))
    ((mask, _),) = masks_of(second)
    np.testing.assert_array_equal(mask, inside((1, 0, 3, 24)))
    assert (first["image_id"], second["file_name"]) == (7, "b.png")
    assert "left out: 1 below 16 pixels, 1 crowds" in capsys.readouterr().out
    assert check_segment_file(tmp_path / "made.jsonl").problems == []
    assert len(made(tmp_path, "--coco", path, "--unseen", "sofa")[0]["segments"]) == 1


def test_addresses_say_where_pictures_lie_if_nothing_else_does(tmp_path):
    """As in LVIS."""
    (tmp_path / "val").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "val" / "1.png")
    image = {"id": 7, "coco_url": "http://images/val/1.png", "height": 24, "width": 32}
    path = coco(tmp_path, GOOD[:1], images=[image])
    assert [record["file_name"] for record in made(tmp_path, "--coco", path)] == ["val/1.png"]


BAD = [
    ({"segmentation": []}, "expected polygons or run lengths, got []"),
    ({}, "expected polygons or run lengths, got None"),
    ({"segmentation": [[1, 2, 3, 4]]}, "three points or more"),
    ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "three points or more"),
    ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "three points or more"),
    ({"segmentation": [rectangle(0, 0, 1e9, 9)]}, "in pixels of the picture"),
    ({"segmentation": [rectangle(0, 0, float("nan"), 9)]}, "in pixels of the picture"),
    ({"segmentation": [rectangle(0, 0, 10**400, 9)]}, "in pixels of the picture"),
    ({"segmentation": [rectangle(0, 0, float("inf"), 9)]}, "in pixels of the picture"),
    ({"segmentation": {"size": [32, 24], "counts": [768]}}, "the picture's 24 x 32 pixels"),
    ({"segmentation": {"size": SIZE, "counts": [7]}}, "runs of 768 pixels together, got 7"),
    ({"segmentation": {"size": SIZE, "counts": "`"}}, '"counts" as runs of 0 or more pixels'),
    ({"segmentation": [rectangle(0, 0, 9, 9)], "category_id": 4}, "a category of the file, got 4"),
    ({"segmentation": [rectangle(0, 0, 9, 9)], "image_id": 9}, "an image of the file, got 9"),
    ({"segmentation": [rectangle(0, 0, 9, 9)], "category_id": [4]}, "a category of the file"),
]


@pytest.mark.parametrize(("annotation", "message"), BAD)
def test_a_bad_annotation_is_named_and_the_others_written(tmp_path, annotation, message, capsys):
    path = coco(tmp_path, [GOOD[0], annotation, GOOD[1]])
    assert len(made(tmp_path, "--coco", path, code=1)[0]["segments"]) == 2
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "error" in one]
    assert line.startswith("  error: annotation 1: ") and message in line


def test_of_many_bad_annotations_twenty_are_written_out(tmp_path, capsys):
    path = coco(tmp_path, [GOOD[0], *[{"segmentation": []}] * 23])
    made(tmp_path, "--coco", path, code=1)
    lines = [one for one in capsys.readouterr().out.splitlines() if one.startswith("  error: ")]
    assert len(lines) == 21 and lines[-1] == "  error: 3 more problems"
    assert lines[19].startswith("  error: annotation 20: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", 'a list "images"'),
        ('{"images": [], "annotations": {}}', 'a list "annotations"'),
        ('{"images": [], "annotations": [], "categories": [3]}', 'a list "categories"'),
        ('{"images": [], "annotations": [], "categories": [{"id": 3}]}', 'with a "name"'),
        (
            '{"images": [], "annotations": [{"segments_info": []}], "categories": []}',
            "got a panoptic file",
        ),
        ("{", "instances.json: expected JSON"),
        ("\x00", "instances.json: expected JSON"),
    ],
)
def test_a_json_file_of_another_kind_is_one_line(tmp_path, content, message, capsys):
    path = tmp_path / "instances.json"
    path.write_text(content, encoding="utf-8")
    assert tool("make_segments").main([str(tmp_path / "own.jsonl"), "--coco", str(path)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "own.jsonl").exists()


def test_polygons_are_drawn_as_coco_draws_them():
    rng = np.random.default_rng(0)
    for _ in range(20):
        polygons = [rng.uniform(-3, 35, 2 * rng.integers(3, 9)).tolist() for _ in range(2)]
        runs = coco_mask.frPyObjects(polygons, *SIZE)
        expected = np.stack([decoded_mask(one, SIZE, "here") for one in runs]).any(0)
        np.testing.assert_array_equal(instance_mask(polygons, SIZE, "here"), expected)


@pytest.mark.parametrize("source", ["labels", "coco"])
def test_use_trains_on_what_was_made(labelled, tmp_path, source):
    if source == "coco":
        options = ("--coco", coco(tmp_path, GOOD))
    else:
        options = ("--dataset", "labelled_for_segments", "--pieces")
    made(tmp_path, *options)
    item = {"name": "made_segments", "file": str(tmp_path / "made.jsonl")}
    cfg = training_config(
        tmp_path,
        *("DATASETS.SEGMENTS", [item], "DATASETS.TRAIN", ("made_segments",)),
        *("MODEL.META_ARCHITECTURE", "USE", "MODEL.CLIP.FINETUNE", "frozen"),
        *("MODEL.USE.DIM", 16, "SOLVER.MAX_ITER", 2, "INPUT.CROP.ENABLED", False),
    )
    register_configured(cfg)
    found = losses(train(cfg))
    assert len(found) == 2 and np.isfinite(found).all() and min(found) > 0


def counted(number):
    """A record with a segment for each of so many."""
    record = {"file_name": f"{number}.png", "height": 1, "width": 1, "segments": [{}] * number}
    return Made(record, ["a problem"] * (number == 3))


class Stopped:
    """Makes records until it is interrupted at one of them, and says which it made."""

    def __init__(self, at=None):
        self.at, self.asked = at, []

    def __call__(self, number):
        if number == self.at:
            raise KeyboardInterrupt
        self.asked.append(number)
        return counted(number)


SETTINGS = {"dataset": "numbers", "least": 4, "sizes": (1, 2)}


def interrupted(path):
    with pytest.raises(KeyboardInterrupt):
        write_records(path, range(8), Stopped(5), SETTINGS)
    assert not path.exists() and unfinished_path(path).is_file()


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path):
    path = tmp_path / "own.jsonl"
    interrupted(path)
    # Killed in the middle of a line.
    with unfinished_path(path).open("ab") as file:
        file.write(b'{"record": {"file_na')
    again = Stopped()
    written = write_records(path, range(8), again, SETTINGS)
    assert again.asked == [5, 6, 7] and written.kept == 5
    assert (written.pictures, written.segments) == (8, 28)
    assert written.problems == ["a problem"]
    assert read(path) == [counted(number).record for number in range(8)]
    assert [file.name for file in tmp_path.iterdir()] == ["own.jsonl"]


@pytest.mark.parametrize("change", [{"least": 5}, {"more": None}])
def test_a_run_with_other_settings_begins_anew(tmp_path, change):
    interrupted(tmp_path / "own.jsonl")
    again = Stopped()
    assert write_records(tmp_path / "own.jsonl", range(8), again, SETTINGS | change).kept == 0
    assert again.asked == list(range(8)) and len(read(tmp_path / "own.jsonl")) == 8


def stopped_run(folder, monkeypatch, *options):
    """A run with label maps that is interrupted at its third picture."""
    call = LabelMaps.__call__

    def until_the_third(maker, item):
        if str(item[1]["file_name"]).endswith("2.png"):
            raise KeyboardInterrupt
        return call(maker, item)

    path = folder / "made.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(LabelMaps, "__call__", until_the_third)
        assert tool("make_segments").main([str(path), *map(str, options)]) == 130
    assert unfinished_path(path).is_file() and not path.exists()


@pytest.mark.parametrize("change", ["class", "ignored", "labels", "nothing"])
def test_a_run_with_other_classes_or_label_files_begins_anew(
    labelled, tmp_path, change, monkeypatch, capsys
):
    options = ("--dataset", "labelled_of_two_runs", "--workers", "1")
    with datasets.registered("labelled_of_two_runs", labelled):
        stopped_run(tmp_path, monkeypatch, *options)
    names, ignored = [*datasets.CLASSES], 255
    if change == "class":
        names[0] = "scarlet block"
    if change == "ignored":
        ignored = 254
        for one in labelled:
            label = label_of(one)
            Image.fromarray(np.where(label == 255, 254, label)).save(one["sem_seg_file_name"])
    if change == "labels":
        for one in labelled:
            other = one["sem_seg_file_name"].replace(".label", ".other")
            Image.fromarray(np.zeros(SIZE, np.uint8)).save(other)
            one["sem_seg_file_name"] = other
    with datasets.registered(
        "labelled_of_two_runs", labelled, stuff_classes=names, ignore_label=ignored
    ):
        records = made(tmp_path, *options)
    kept = "(2 of them by an earlier run)" in capsys.readouterr().out
    assert kept == (change == "nothing")
    expected = names[:1] if change == "labels" else names
    for record in records:
        assert [text for _, (text,) in masks_of(record)] == expected


def test_a_run_with_other_unseen_classes_in_the_same_file_begins_anew(
    labelled, tmp_path, monkeypatch
):
    unseen = tmp_path / "unseen.txt"
    unseen.write_text("red block\n", encoding="utf-8")
    options = ("--dataset", "labelled_for_segments", "--unseen", unseen, "--workers", "1")
    stopped_run(tmp_path, monkeypatch, *options)
    unseen.write_text("blue block\n", encoding="utf-8")
    for record in made(tmp_path, *options):
        texts = [text for _, (text,) in masks_of(record)]
        assert texts == ["red block", "green block", "grey block"]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file stays there")
def test_what_another_run_removes_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """The end of another run, between the opening and the locking of this one."""
    path, lock, removed = tmp_path / "own.jsonl", partial_files.lock, []

    def locked_late(descriptor, without):
        if not removed:
            removed.append(unfinished_path(path).unlink())
        return lock(descriptor, without)

    def make(number):
        assert unfinished_path(path).is_file()
        return counted(number)

    monkeypatch.setattr(partial_files, "lock", locked_late)
    assert write_records(path, range(3), make, SETTINGS).pictures == 3
    assert removed and [file.name for file in tmp_path.iterdir()] == ["own.jsonl"]


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path):
    path = tmp_path / "own.jsonl"
    write_records(path, range(2), counted, {})
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_records(path, range(8), Stopped(5), SETTINGS)
    assert path.read_bytes() == before
    # Whatever lies there instead of an unfinished run is begun anew.
    unfinished_path(path).write_bytes(b"\xff\n[]\n")
    assert write_records(path, range(3), counted, SETTINGS).kept == 0 and len(read(path)) == 3


SLOW = """
import time
from tests.data.test_segment_making import counted
from fgaseg_d2.data.segment_making.writing import write_records
from pathlib import Path

def slow(number):
    time.sleep(0.05)
    return counted(number)

print("ready", flush=True)
write_records(Path({path!r}), range(2000), slow, {{}}, workers={workers})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals and locks")
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_lost_where_a_run_is_killed_without_warning(tmp_path, workers):
    path = tmp_path / "own.jsonl"
    code = SLOW.format(path=str(path), workers=workers)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    end = time.monotonic() + PATIENCE
    lines = b""
    while lines.count(b"\n") < 5:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
        lines = unfinished_path(path).read_bytes() if unfinished_path(path).exists() else b""
    with pytest.raises(ValueError, match="another one that writes it"):
        write_records(path, range(3), counted, {})
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = unfinished_path(path).read_bytes().count(b"\n") - 1
    again = Stopped()
    # Its workers hold the file until they, too, are gone.
    while not (written := when_free(path, range(done + 3), again)):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert written.kept == done >= 4 and again.asked == [done, done + 1, done + 2]
    assert [record["file_name"] for record in read(path)] == [f"{n}.png" for n in range(done + 3)]


def when_free(path, items, make):
    """What is written, None as long as another process writes it."""
    try:
        return write_records(path, items, make, {})
    except ValueError as error:
        assert "another one that writes it" in str(error)
        return None


def test_a_file_stays_where_there_is_nothing_to_replace_it(labelled, tmp_path, capsys):
    path = coco(tmp_path, GOOD)
    before = made(tmp_path, "--coco", path)
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").unlink()
    assert made(tmp_path, "--coco", path, code=1) == before
    printed = capsys.readouterr()
    assert printed.out.count("  error: image") == 2 and "made.jsonl was not written" in printed.err
    assert not unfinished_path(tmp_path / "made.jsonl").exists()


def test_what_cannot_be_replaced_is_found_before_the_work(tmp_path):
    (tmp_path / "own.jsonl").mkdir()
    make = Stopped()
    with pytest.raises(OSError, match="it is a folder"):
        write_records(tmp_path / "own.jsonl", range(3), make, {})
    assert make.asked == [] and [file.name for file in tmp_path.iterdir()] == ["own.jsonl"]


def test_a_folder_that_cannot_be_written_is_one_line(labelled, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "own.jsonl"
    assert tool("make_segments").main([str(path), "--dataset", "labelled_for_segments"]) == 1
    error = capsys.readouterr().err
    assert "cannot write" in error and error.count("\n") == 1


@pytest.mark.parametrize("option", ["--pieces", "--all-names"])
def test_options_of_label_maps_are_refused_with_instances(option, capsys):
    assert tool("make_segments").main(["a.jsonl", "--coco", "a.json", option]) == 2
    assert "are for --dataset" in capsys.readouterr().err
