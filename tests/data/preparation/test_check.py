"""--check finds every kind of damage in a prepared tree, names the file, and writes nothing."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tests.data.preparation.command import label_path, snapshot, split_of
from tests.data.preparation.test_benchmarks import NAMES, of_family
from tests.raw_trees import write

# The dataset, its second label, a value that is no class, and the number of its bits.
SECOND = {
    "coco_stuff": ("coco_stuff_val", "000000000140", 171, 8),
    "ade20k_150": ("ade20k_150_val", "ADE_val_00000002", 150, 8),
    "ade20k_847": ("ade20k_847_val", "ADE_val_00000002", 847, 16),
    "pascal_context_59": ("pascal_context_59_val", "2009_000034", 59, 8),
    "pascal_context_459": ("pascal_context_459_val", "2009_000034", 459, 16),
    "pascal_voc": ("pascal_voc_20_val", "2007_000034", 20, 8),
    "pascal_voc_21": ("pascal_voc_21_val", "2007_000034", 21, 8),
    "pascal_context_60": ("pascal_context_60_val", "2009_000034", 60, 8),
    "coco_object_81": ("coco_object_81_val", "000000000140", 81, 8),
    "cityscapes_19": ("cityscapes_19_val", "munster/munster_000033_000020_leftImg8bit", 19, 8),
}


def rewrite(change):
    def damage(path):
        with Image.open(path) as image:
            array = np.array(image)
        Image.fromarray(change(array)).save(path)

    return damage


def set_corner(value):
    def change(array):
        array[0, 0] = value
        return array

    return rewrite(change)


def flip_bytes(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x5A
    path.write_bytes(data)


DAMAGES = {
    "missing": (lambda path: path.unlink(), "prepare again"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-60]), "whole"),
    "without its end": (lambda path: path.write_bytes(path.read_bytes()[:-12]), "whole"),
    "flipped": (flip_bytes, "whole"),
    "no picture": (lambda path: path.write_bytes(b"text"), "Pillow"),
    "smaller": (rewrite(lambda array: array[1:]), "expected the size of its picture (55 x 37)"),
    "turned": (rewrite(lambda array: array.T.copy()), "got 37 x 55"),
    "colours": (rewrite(lambda array: np.stack([array.astype(np.uint8)] * 3, -1)), "mode RGB"),
}


@pytest.fixture(params=NAMES)
def prepared(request, command, tmp_path):
    """The name of a benchmark that is prepared, its dataset and its second label."""
    write(request.param, tmp_path)
    assert command(request.param).code == 0
    return request.param, *SECOND[request.param]


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_label(kind, prepared, command, tmp_path):
    name, dataset, stem, _, _ = prepared
    damage, expected = DAMAGES[kind]
    path = label_path(tmp_path, dataset, stem)
    damage(path)
    before = snapshot(tmp_path)
    done = command(name, "--check")
    assert snapshot(tmp_path) == before
    assert done.code == 1
    (line,) = done.errors()
    assert str(path) in line and expected in line
    assert f"{dataset}: 2 good, 1 bad" in done.out


def test_illegal_value_other_bits_and_palette(prepared, command, tmp_path):
    name, dataset, stem, illegal, bits = prepared
    path = label_path(tmp_path, dataset, stem)
    whole = path.read_bytes()
    set_corner(illegal)(path)
    (line,) = command(name, "--check").errors()
    assert str(path) in line and f"got [{illegal}] (1 px)" in line

    path.write_bytes(whole)
    rewrite(lambda array: array.astype(np.uint16 if bits == 8 else np.uint8))(path)
    (line,) = command(name, "--check").errors()
    assert str(path) in line and f"{bits} bits" in line

    path.write_bytes(whole)
    with Image.open(path) as image:
        indexed = Image.fromarray(np.asarray(image).astype(np.uint8))
    indexed.putpalette(bytes(range(256)) * 3)
    indexed.save(path)
    (line,) = command(name, "--check").errors()
    assert str(path) in line and "mode P" in line

    path.write_bytes(whole)
    assert command(name, "--check").code == 0


def test_extra_label_leftover_and_bad_picture(prepared, command, tmp_path):
    name, dataset, stem, _, _ = prepared
    path = label_path(tmp_path, dataset, stem)
    extra, leftover = path.with_name("extra.png"), path.with_name(".partial-ab12.png")
    shutil.copy(path, extra)
    leftover.write_bytes(b"half")
    ending = ".png" if name == "cityscapes_19" else ".jpg"
    picture = tmp_path / split_of(dataset).image_dir / f"{stem}{ending}"
    picture.write_bytes(picture.read_bytes()[:-40])
    done = command(name, "--check", workers=2)
    assert done.code == 1 and len(done.errors()) == 3
    for culprit in (extra, leftover, picture):
        assert sum(str(culprit) in line for line in done.errors()) == 1
    assert leftover.exists() and extra.exists()


def test_without_raw_labels(prepared, command, tmp_path):
    name, dataset, stem, _, _ = prepared
    coco, cityscapes = "coco-stuff/annotations", "cityscapes/gtFine"
    for path in (coco, cityscapes, "ADEChallengeData2016/annotations"):
        shutil.rmtree(tmp_path / path, ignore_errors=True)
    shutil.rmtree(tmp_path / "ADE20K_2021_17_01/images", ignore_errors=True)
    for folder in ("VOC2010/trainval", "VOC2012/SegmentationClass"):
        shutil.rmtree(tmp_path / "VOCdevkit" / folder, ignore_errors=True)
    (tmp_path / "VOCdevkit/VOC2010/trainval_merged.json").unlink(missing_ok=True)
    done = command(name, "--check")
    assert done.code == 0 and "compared with the pictures only" in done.err
    set_corner(200 if name != "pascal_context_459" else 460)(label_path(tmp_path, dataset, stem))
    if name != "ade20k_847":  # where 200 is a class
        assert command(name, "--check").code == 1


def test_pictures_without_labels_are_missed_without_raw_labels(command, tmp_path):
    write("coco_stuff", tmp_path)
    command("coco_stuff")
    shutil.rmtree(tmp_path / "coco-stuff/annotations")
    path = label_path(tmp_path, "coco_stuff_val", "000000000140")
    path.unlink()
    done = command("coco_stuff", "--check", "--splits", "val")
    assert done.code == 1 and [line for line in done.errors() if str(path) in line]


def test_nothing_prepared(prepared, command, tmp_path):
    name, dataset, _, _, _ = prepared
    folder = tmp_path / split_of(dataset).label_dir
    shutil.rmtree(folder)
    done = command(name, "--check", "--splits", "val")
    assert done.code == 1 and str(folder) in done.errors()[0]
    assert not folder.exists()


def test_counts_with_strict(command, tmp_path):
    of_family("ade20k_150", write("ade20k_150", tmp_path))
    command("ade20k_150")
    assert command("ade20k_150", "--check").code == 0
    done = command("ade20k_150", "--check", "--strict")
    assert done.code == 1 and "3 good labels, officially 2,000" in done.err
