"""Whatever is wrong with a raw file is told with its name; the other files are prepared."""

import json
import shutil

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.data.preparation.command import assert_prepared, label_path
from tests.data.preparation.test_benchmarks import of_family
from tests.raw_trees import write, write_png

VOC, CONTEXT = "VOCdevkit/VOC2012", "VOCdevkit/VOC2010"
ADE = "ADE20K_2021_17_01/images/ADE/validation/urban/street/ADE_val_00000002"
# For each name, the second of three samples: its stem, its raw label and its picture.
SECOND = {
    "coco_stuff": (
        "000000000140",
        "coco-stuff/annotations/val2017/000000000140.png",
        "coco-stuff/images/val2017/000000000140.jpg",
    ),
    "ade20k_150": (
        "ADE_val_00000002",
        "ADEChallengeData2016/annotations/validation/ADE_val_00000002.png",
        "ADEChallengeData2016/images/validation/ADE_val_00000002.jpg",
    ),
    "ade20k_847": ("ADE_val_00000002", f"{ADE}_seg.png", f"{ADE}.jpg"),
    "pascal_context_59": (
        "2009_000034",
        f"{CONTEXT}/trainval_merged.json",
        f"{CONTEXT}/JPEGImages/2009_000034.jpg",
    ),
    "pascal_context_459": (
        "2009_000034",
        f"{CONTEXT}/trainval/2009_000034.mat",
        f"{CONTEXT}/JPEGImages/2009_000034.jpg",
    ),
    "pascal_voc": (
        "2007_000034",
        f"{VOC}/SegmentationClass/2007_000034.png",
        f"{VOC}/JPEGImages/2007_000034.jpg",
    ),
    "cityscapes_19": (
        "munster/munster_000033_000020_leftImg8bit",
        "cityscapes/gtFine/val/munster/munster_000033_000020_gtFine_labelIds.png",
        "cityscapes/leftImg8bit/val/munster/munster_000033_000020_leftImg8bit.png",
    ),
}
# The same files as other sets'.
SECOND["coco_object_81"] = SECOND["coco_stuff"]
SECOND["pascal_context_60"] = SECOND["pascal_context_59"]
SECOND["pascal_voc_21"] = SECOND["pascal_voc"]
WITH_LABEL_FILES = sorted(set(SECOND) - {"pascal_context_59", "pascal_context_60"})
WITH_PNG = sorted(set(WITH_LABEL_FILES) - {"pascal_context_459"})


@pytest.fixture
def damaged(command, tmp_path):
    """Write a tree, damage the second sample, prepare; the others must come out as they went in."""

    def run(name, damage, *expected, on="label", named=None, workers=1):
        truth = of_family(name, write(name, tmp_path))
        stem, label, picture = SECOND[name]
        path = tmp_path / {"label": label, "picture": picture}[on]
        damage(path)
        done = command(name, workers=workers)
        assert done.code == 1
        assert "Traceback" not in done.err
        assert_prepared(tmp_path, truth, without=stem)
        line = next(line for line in done.errors() if stem.removesuffix("_leftImg8bit") in line)
        for words in (str(tmp_path / named) if named else str(path), *expected):
            assert words in line
        summary = [line for line in done.out.splitlines() if "1 bad" in line]
        assert len(summary) == len(truth) and "Evaluate" not in done.out
        # It can be mended: with the file as it was, only this sample is prepared.
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        write(name, tmp_path / "again")
        shutil.copy(tmp_path / "again" / path.relative_to(tmp_path), path)
        assert command(name).code == 0
        assert_prepared(tmp_path, truth)
        return done

    return run


def edit(path, change):
    """Change the array of a PNG and keep its mode and palette."""
    with Image.open(path) as image:
        array, palette = np.array(image), image.getpalette()
    array = change(array)
    edited = Image.fromarray(array)
    if palette:
        edited.putpalette(palette)
    edited.save(path)


def set_first(value):
    def change(array):
        array[0, :2] = value
        return array

    return lambda path: edit(path, change)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def garble(path):
    path.write_bytes(b"<html>404 Not Found</html>")


def flip_bytes(path):
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(byte ^ 0x5A for byte in data[middle : middle + 8])
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, empty, garble, flip_bytes])
@pytest.mark.parametrize("name", WITH_LABEL_FILES)
def test_unreadable_label(name, damage, damaged):
    damaged(name, damage, workers=2 if damage is cut else 1)


@pytest.mark.parametrize("damage", [cut, empty, garble])
@pytest.mark.parametrize("name", sorted(SECOND))
def test_unreadable_picture(name, damage, damaged):
    damaged(name, damage, "picture", on="picture")


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("coco_stuff", 182, "0 .. 181, 255"),
        ("coco_stuff", 254, "0 .. 181, 255"),
        ("ade20k_150", 151, "0 .. 150"),
        ("ade20k_150", 255, "0 .. 150"),
        ("pascal_voc", 21, "0 .. 20, 255"),
        ("pascal_voc", 254, "0 .. 20, 255"),
    ],
)
def test_value_that_the_encoding_has_not(name, value, known, damaged):
    damaged(name, set_first(value), f"expected raw label values {known}, got {value} (2 px)")


def test_ade20k_847_red_that_is_no_multiple_of_ten(damaged):
    damaged("ade20k_847", set_first((13, 4, 0)), "multiples of 10", "[13] (2 px)")


@pytest.mark.parametrize("name", WITH_PNG)
def test_label_of_another_size(name, damaged):
    damaged(name, lambda path: edit(path, lambda a: a[:-1]), "55 x 37", "55 x 36")


@pytest.mark.parametrize("name", ["coco_stuff", "pascal_context_59", "pascal_voc"])
def test_picture_of_another_size(name, damaged):
    def shrink(path):
        Image.new("RGB", (37, 55)).save(path)

    stem, label, picture = SECOND[name]
    damaged_path = [picture.rpartition("/")[2], "55 x 37", "37 x 55"]
    damaged(name, shrink, *damaged_path, on="picture")


def as_mode(mode):
    def damage(path):
        with Image.open(path) as image:
            converted = image.convert(mode)
        converted.save(path)

    return damage


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("coco_stuff", "RGB"),
        ("coco_stuff", "LA"),
        ("ade20k_150", "RGB"),
        ("ade20k_150", "P"),
        ("ade20k_847", "L"),
        ("ade20k_847", "RGBA"),
        ("ade20k_847", "P"),
        ("pascal_voc", "RGB"),
        ("pascal_voc", "RGBA"),
    ],
)
def test_label_of_another_mode(name, mode, damaged):
    damaged(name, as_mode(mode), f"got mode {mode}", "as it was downloaded")


def test_voc_mask_turned_to_grey_is_found_by_its_values(damaged):
    damaged("pascal_voc", as_mode("L"), "0 .. 20, 255")


def test_label_saved_as_jpeg(damaged):
    def damage(path):
        with Image.open(path) as image:
            array = np.asarray(image)
        Image.fromarray(array).save(path, format="JPEG")

    damaged("ade20k_150", damage, "expected a PNG, got JPEG")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("name", WITH_LABEL_FILES)
def test_missing_label(name, damaged):
    if name.startswith("pascal"):  # a list says what must be there
        damaged(name, remove, "found nothing")
    else:
        damaged(name, remove, "expected a label", named=SECOND[name][2])


@pytest.mark.parametrize("name", sorted(SECOND))
def test_missing_picture(name, damaged):
    if name.startswith("pascal"):
        damaged(name, remove, "found nothing", on="picture")
    else:
        damaged(name, remove, "expected a picture", on="picture", named=SECOND[name][1])


@pytest.mark.parametrize(
    ("name", "extra", "content"),
    [
        ("coco_stuff", "coco-stuff/annotations/val2017/notes.txt", "a file"),
        ("coco_stuff", "coco-stuff/annotations/val2017/val2017", "a folder"),
        ("ade20k_150", "ADEChallengeData2016/images/validation/ADE_val_9.png", "a file"),
        ("ade20k_847", "ADE20K_2021_17_01/images/ADE/validation/home/x.jpg", "a file"),
        ("ade20k_847", f"{ADE.rpartition('/')[0]}/ADE_train_00000009_seg.png", "a file"),
    ],
)
def test_extra_files_are_named(name, extra, content, command, tmp_path):
    truth = of_family(name, write(name, tmp_path))
    if content == "a file":
        (tmp_path / extra).write_bytes(b"extra")
    else:
        (tmp_path / extra).mkdir()
    done = command(name)
    assert done.code == 1
    assert [line for line in done.errors() if str(tmp_path / extra) in line]
    assert_prepared(tmp_path, truth)


@pytest.mark.parametrize("litter", [".DS_Store", "._000000000140.png", "Thumbs.db"])
def test_what_operating_systems_leave_is_no_extra_file(litter, command, tmp_path):
    truth = write("coco_stuff", tmp_path)
    for folder in ("annotations", "images"):
        (tmp_path / f"coco-stuff/{folder}/val2017" / litter).write_bytes(b"litter")
    assert command("coco_stuff").code == 0
    assert_prepared(tmp_path, truth)


def test_all_damages_are_named_in_one_run(command, tmp_path):
    truth = write("pascal_voc", tmp_path, count=6)
    masks = tmp_path / VOC / "SegmentationClass"
    cut(masks / "2007_000033.png")
    empty(masks / "2007_000035.png")
    write_png(masks / "2007_000037.png", np.full((29, 47), 77, np.uint8))
    done = command("pascal_voc", workers=2)
    assert done.code == 1 and len(done.errors()) == 3
    for number in (33, 35, 37):
        assert sum(f"2007_0000{number}.png" in line for line in done.errors()) == 1
    assert "3 errors" in done.err.splitlines()[-1]
    for dataset, expected in truth.items():
        good = {s: label for s, label in expected.items() if int(s[-2:]) % 2 == 0}
        assert_prepared(tmp_path, {dataset: good})


MAPS = {
    "no LabelMap": ({"Labels": np.ones((37, 55), np.uint16)}, "expected a LabelMap, got Labels"),
    "text": ({"LabelMap": "wall"}, "whole numbers"),
    "fractions": ({"LabelMap": np.full((37, 55), 1.5)}, "float64"),
    "three axes": ({"LabelMap": np.ones((37, 55, 3), np.uint16)}, "shape (37, 55, 3)"),
    "struct": ({"LabelMap": {"a": 1}}, "whole numbers"),
    "460": ({"LabelMap": np.full((37, 55), 460, np.uint16)}, "0 .. 459, got 460 (2035 px)"),
    "65535": ({"LabelMap": np.full((37, 55), 65535, np.uint16)}, "0 .. 459, got 65535"),
    "negative": ({"LabelMap": np.full((37, 55), -1, np.int16)}, "0 .. 459, got -1"),
    "turned": ({"LabelMap": np.ones((55, 37), np.uint16)}, "expected the size of its picture"),
}


@pytest.mark.parametrize("kind", MAPS)
def test_matlab_file_with_something_else(kind, damaged):
    content, expected = MAPS[kind]
    damaged("pascal_context_459", lambda path: scipy.io.savemat(path, content), expected)


def in_json(change):
    """A damage of trainval_merged.json; the change gets its content and the second picture's id."""

    def damage(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content, 2009000034)
        path.write_text(json.dumps(content), encoding="utf-8")

    return damage


def annotations_of(content, image_id):
    return [a for a in content["annos_segmentation"] if a["image_id"] == image_id]


def set_annotation(**changes):
    return in_json(lambda content, i: annotations_of(content, i)[1].update(changes))


def set_segmentation(**changes):
    return in_json(lambda content, i: annotations_of(content, i)[1]["segmentation"].update(changes))


def set_image(**changes):
    def change(content, image_id):
        for image in content["images"]:
            if image["image_id"] == image_id:
                image.update(changes)

    return in_json(change)


def twice(content, image_id):
    content["images"] += [i for i in content["images"] if i["image_id"] == image_id]


JSON_DAMAGES = {
    "size of another picture": (set_segmentation(size=[55, 37]), "the picture's 37 x 55 pixels"),
    "counts too short": (set_segmentation(counts="<422"), "runs of 2035 pixels"),
    "counts too long": (
        set_segmentation(counts=[2035, 1]),
        "runs of 2035 pixels together, got 2036",
    ),
    "negative counts": (set_segmentation(counts=[2036, -1]), "as runs of 0 or more"),
    "counts break off": (set_segmentation(counts="<4o"), "as runs of 0 or more"),
    "no counts": (set_segmentation(counts="a b"), "as runs of 0 or more"),
    "fractional counts": (set_segmentation(counts=[2034.5, 0.5]), "as runs of 0 or more"),
    "polygons": (set_annotation(segmentation=[[1, 2, 3, 4, 5, 6]]), "run lengths"),
    "category 460": (set_annotation(category_id=460), "0 .. 459, got 460"),
    "category as text": (set_annotation(category_id="wall"), "0 .. 459, got 'wall'"),
    "another height": (set_image(height=38), "a mask of the picture's 38 x 55 pixels"),
    "no height": (set_image(height=None), "no usable height"),
    "picture twice": (in_json(twice), "occurs 2 times"),
}


@pytest.mark.parametrize("kind", JSON_DAMAGES)
def test_json_with_a_bad_entry(kind, command, tmp_path):
    truth = of_family("pascal_context_59", write("pascal_context_59", tmp_path))
    damage, expected = JSON_DAMAGES[kind]
    path = tmp_path / CONTEXT / "trainval_merged.json"
    damage(path)
    done = command("pascal_context_59")
    assert done.code == 1 and "Traceback" not in done.err
    assert_prepared(tmp_path, truth, without="2009_000034")
    assert [x for x in done.errors() if str(path) in x and expected in x and "2009" in x]


@pytest.mark.parametrize("damage", [cut, empty, garble, lambda path: path.write_text("[1, 2]")])
def test_json_that_cannot_be_read(damage, command, tmp_path):
    write("pascal_context_59", tmp_path)
    path = tmp_path / CONTEXT / "trainval_merged.json"
    damage(path)
    done = command("pascal_context_59")
    assert done.code == 1 and len(done.errors()) == 1 and str(path) in done.errors()[0]
    assert not (tmp_path / CONTEXT / "annotations_detectron2").exists()


def test_json_annotations_of_unknown_pictures_are_a_warning(command, tmp_path):
    truth = of_family("pascal_context_59", write("pascal_context_59", tmp_path))
    path = tmp_path / CONTEXT / "trainval_merged.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annos_segmentation"].append(content["annos_segmentation"][0] | {"image_id": 5})
    path.write_text(json.dumps(content), encoding="utf-8")
    done = command("pascal_context_59")
    assert done.code == 0 and "1 annotations are of no usable picture" in done.err
    assert_prepared(tmp_path, truth)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("pascal_voc", f"{VOC}/ImageSets/Segmentation/val.txt"),
        ("pascal_context_459", f"{CONTEXT}/pascalcontext_val.txt"),
    ],
)
def test_list_of_ids_with_errors(name, path, command, tmp_path):
    truth = of_family(name, write(name, tmp_path))
    ids = tmp_path / path
    lines = ids.read_text(encoding="utf-8").split()
    ids.write_text("\n".join([*lines, lines[0], "../escape", "2011_999999"]), encoding="utf-8")
    done = command(name)
    assert done.code == 1
    text = "\n".join(done.errors())
    assert f"{ids}: line 4: {lines[0]} is listed twice" in text
    assert f"{ids}: line 5: expected an id, got '../escape'" in text
    assert "2011_999999.jpg" in text
    assert_prepared(tmp_path, truth)
    ids.write_bytes(b"\xff\xfe\x00binary")
    assert str(ids) in command(name).errors()[0]
    ids.write_bytes(b"")
    assert "empty" in command(name).errors()[0]


def test_counts_are_a_warning_and_with_strict_an_error(command, tmp_path):
    truth = write("pascal_voc", tmp_path)
    done = command("pascal_voc")
    assert done.code == 0
    assert "warning: pascal_voc_20b_val: 3 good labels, officially 1,449" in done.err
    strict = command("pascal_voc", "--strict")
    assert strict.code == 1
    assert "error: pascal_voc_20b_val: 3 good labels, officially 1,449" in strict.err
    assert_prepared(tmp_path, truth)


def test_one_bad_benchmark_does_not_stop_the_next(command, tmp_path):
    truth = write("pascal_voc", tmp_path)
    done = command("ade20k_150", "pascal_voc")
    assert done.code == 1 and len(done.errors()) == 1
    assert f"{tmp_path / 'ADEChallengeData2016/annotations/validation'}" in done.errors()[0]
    assert_prepared(tmp_path, truth)


def test_palette_of_few_colors_is_read_as_indices(command, tmp_path):
    write("pascal_voc", tmp_path)
    indices = np.zeros((29, 47), np.uint8)
    indices[3:, 5:] = 2
    path = tmp_path / VOC / "SegmentationClass/2007_000033.png"
    image = Image.fromarray(indices)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(path, bits=2)
    assert path.read_bytes()[24] == 2  # bit depth
    assert command("pascal_voc").code == 0
    with Image.open(label_path(tmp_path, "pascal_voc_20b_val", "2007_000033")) as made:
        np.testing.assert_array_equal(np.asarray(made), np.where(indices == 2, 1, 20))
