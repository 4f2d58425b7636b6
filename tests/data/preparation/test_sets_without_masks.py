"""The raw files of VOC and Context with background, COCO-Object and Cityscapes, value by value."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.data.preparation.command import label_path, labels
from tests.raw_trees import (
    COCO_UNUSED,
    CONTEXT_59,
    context_annotation,
    context_image,
    voc_palette,
    write,
    write_context_json,
    write_ids,
    write_palette_png,
    write_picture,
    write_png,
)

FRAME = "lindau/lindau_000001_000019"
# cityscapesScripts' table, by label id.
TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12,
    26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip


def city_pair(root, raw, split="val", frame=FRAME):
    write_png(root / f"cityscapes/gtFine/{split}/{frame}_gtFine_labelIds.png", raw)
    write_picture(root / f"cityscapes/leftImg8bit/{split}/{frame}_leftImg8bit.png", raw.astype(int))


def coco_pair(root, raw, stem="000000000139"):
    write_png(root / f"coco-stuff/annotations/val2017/{stem}.png", raw)
    write_picture(root / f"coco-stuff/images/val2017/{stem}.jpg", raw.astype(int))


def test_cityscapes_ids_become_train_ids(command, tmp_path):
    """License plates too, whose -1 is 255 in 8 bits."""
    city_pair(tmp_path, np.array([[*range(34), 255]] * 2, np.uint8))
    assert command("cityscapes_19").code == 0
    label = labels(tmp_path, "cityscapes_19_val")[f"{FRAME}_leftImg8bit"]
    assert label[1].tolist() == [TRAIN_IDS.get(value, 255) for value in [*range(34), 255]]


@pytest.mark.parametrize("value", [34, 128, 254])
def test_an_id_off_cityscapes_table_is_named_and_the_rest_is_made(value, command, tmp_path):
    raw = np.full((4, 6), 7, np.uint8)
    city_pair(tmp_path, raw, frame="munster/munster_000000_000019")
    raw[2, 3] = value
    city_pair(tmp_path, raw)
    done = command("cityscapes_19")
    (line,) = done.errors()
    assert done.code == 1 and f"{FRAME}_gtFine_labelIds.png" in line and f"{value} (1 px)" in line
    assert list(labels(tmp_path, "cityscapes_19_val")) == [
        "munster/munster_000000_000019_leftImg8bit"
    ]


def test_what_else_lies_in_cityscapes_is_not_looked_at(command, tmp_path):
    """Train ids, instances, colors and polygons; and the test split, whose labels are dummies."""
    raw = np.full((4, 6), 8, np.uint8)
    city_pair(tmp_path, raw)
    city_pair(tmp_path, raw, "test", "berlin/berlin_000000_000019")
    for kind, content in (
        ("labelTrainIds", np.full((4, 6), 77, np.uint8)),
        ("instanceIds", np.full((4, 6), 26001, np.uint16)),
        ("color", np.zeros((4, 6, 4), np.uint8)),
    ):
        write_png(tmp_path / f"cityscapes/gtFine/val/{FRAME}_gtFine_{kind}.png", content)
    (tmp_path / f"cityscapes/gtFine/val/{FRAME}_gtFine_polygons.json").write_text("{")
    done = command("cityscapes_19")
    assert (done.code, done.errors()) == (0, [])
    assert (labels(tmp_path, "cityscapes_19_val")[f"{FRAME}_leftImg8bit"] == 1).all()
    assert not (tmp_path / "cityscapes/annotations_detectron2/test").exists()
    with pytest.raises(SystemExit):
        command("cityscapes_19", "--splits", "test")


def test_a_frame_without_its_other_half_is_named(command, tmp_path):
    raw = np.full((4, 6), 8, np.uint8)
    for number in range(3):
        city_pair(tmp_path, raw, frame=f"lindau/lindau_00000{number}_000019")
    picture = tmp_path / "cityscapes/leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png"
    label = tmp_path / "cityscapes/gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png"
    picture.unlink()
    label.unlink()
    done = command("cityscapes_19")
    assert done.code == 1 and len(done.errors()) == 2
    assert list(labels(tmp_path, "cityscapes_19_val")) == [
        "lindau/lindau_000002_000019_leftImg8bit"
    ]
    # Also when the raw labels are gone, a picture without a prepared one is missed.
    shutil.rmtree(tmp_path / "cityscapes/gtFine")
    checked = command("cityscapes_19", "--check")
    assert checked.code == 1 and "lindau_000001_000019" in "".join(checked.errors())


def test_coco_objects_are_the_things_and_all_else_is_background(command, tmp_path):
    raw = np.array([[*range(182), 255]] * 2, np.uint8)
    coco_pair(tmp_path, raw)
    assert command("coco_object_81").code == 0
    label = labels(tmp_path, "coco_object_81_val")["000000000139"][0]
    things = [value for value in range(90) if value + 1 not in COCO_UNUSED]
    assert len(things) == 80
    assert label.tolist() == [things.index(v) + 1 if v in things else 0 for v in [*range(182), 255]]


@pytest.mark.parametrize("name", ["coco_object_81", "coco_stuff"])
def test_maps_of_other_programs_are_passed_over(name, command, tmp_path):
    raw = np.full((5, 7), 17, np.uint8)
    coco_pair(tmp_path, raw)
    folder = tmp_path / "coco-stuff/annotations/val2017"
    write_png(folder / "000000000139_labelTrainIds.png", raw + 200)
    (folder / "000000000139_instanceTrainIds.png").write_bytes(b"damaged")
    for arguments in ((), ("--check",)):
        done = command(name, "--splits", "val", *arguments)
        assert (done.code, done.errors()) == (0, [])
    assert list(labels(tmp_path, f"{name}_val")) == ["000000000139"]


def test_a_value_that_coco_stuff_has_not_is_an_error_in_objects_too(command, tmp_path):
    coco_pair(tmp_path, np.full((5, 7), 182, np.uint8))
    (line,) = command("coco_object_81").errors()
    assert "182 (35 px)" in line and "000000000139.png" in line
    assert not label_path(tmp_path, "coco_object_81_val", "000000000139").exists()


def test_voc_with_background_is_the_index_of_the_palette(command, tmp_path):
    top = tmp_path / "VOCdevkit/VOC2012"
    raw = np.array([[*range(21), 255]] * 3, np.uint8)
    for stem, content in (("2007_000033", raw), ("2007_000042", np.zeros_like(raw))):
        write_palette_png(top / f"SegmentationClass/{stem}.png", content)
        write_picture(top / f"JPEGImages/{stem}.jpg", raw.astype(int))
    write_picture(top / "JPEGImages/2007_000061.jpg", raw.astype(int))
    colored = Image.fromarray(voc_palette()[raw])
    colored.save(top / "SegmentationClass/2007_000061.png")
    write_ids(top / "ImageSets/Segmentation/val.txt", ["2007_000033", "2007_000042", "2007_000061"])
    done = command("pascal_voc_21")
    (line,) = done.errors()
    assert done.code == 1 and "2007_000061.png" in line and "mode RGB" in line
    found = labels(tmp_path, "pascal_voc_21_val")
    assert found["2007_000033"][0].tolist() == [*range(21), 255]
    assert (found["2007_000042"] == 0).all(), "a picture without objects stays in the set"


def test_context_with_background_is_pc59_moved_up_by_one(command, tmp_path):
    """Later regions lie above; other ids of labels.txt and pixels of no region are background."""
    rows = np.arange(60)[:, None].repeat(4, 1)
    annotations = [context_annotation(7, CONTEXT_59[k], rows == k) for k in range(59)]
    annotations.append(context_annotation(7, 1, rows == 0))  # an id that is none of the 59
    pictures = [
        context_image("2008_000007", 7, "val", 60, 4),
        context_image("2008_000008", 8, "val", 60, 4),
    ]
    for stem in ("2008_000007", "2008_000008"):
        write_picture(tmp_path / f"VOCdevkit/VOC2010/JPEGImages/{stem}.jpg", rows)
    write_context_json(tmp_path, pictures, annotations)
    for name in ("pascal_context_60", "pascal_context_59"):
        assert command(name).code == 0
    found = labels(tmp_path, "pascal_context_60_val")
    assert found["2008_000007"][:, 0].tolist() == [0, *range(2, 60), 0]
    assert (found["2008_000008"] == 0).all(), "no region at all"
    other = labels(tmp_path, "pascal_context_59_val")
    for stem, label in found.items():
        assert np.array_equal(label, (other[stem].astype(int) + 1) % 256)


@pytest.mark.parametrize("category", [460, -1, "cat", None])
def test_a_category_off_contexts_list_is_named(category, command, tmp_path):
    write("pascal_context_60", tmp_path)
    path = tmp_path / "VOCdevkit/VOC2010/trainval_merged.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annos_segmentation"][0]["category_id"] = category
    path.write_text(json.dumps(content), encoding="utf-8")
    done = command("pascal_context_60")
    (line,) = done.errors()
    assert done.code == 1 and "expected a category_id 0 .. 459" in line
    assert len(labels(tmp_path, "pascal_context_60_val")) == 2
