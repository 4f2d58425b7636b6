"""From raw trees in their real encodings to the label files of all six benchmarks."""

import hashlib

import cv2
import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.data.preparation import FAMILIES
from fgaseg_d2.vocabulary.parsing import read_benchmark
from tests.data.preparation.command import assert_prepared, label_path, labels, split_of
from tests.raw_trees import (
    BUILDERS,
    COCO_UNUSED,
    COCO_VALUES,
    CONTEXT_59,
    ade_rgb,
    context_annotation,
    context_image,
    write,
    write_context_json,
    write_palette_png,
    write_picture,
    write_png,
)

NAMES = list(FAMILIES)


def of_family(name, truth):
    """Drop what another name prepares from the same raw tree."""
    return {d: t for d, t in truth.items() if d.rpartition("_")[0] in FAMILIES[name].benchmarks}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_labels_come_out_as_they_went_in(name, workers, command, tmp_path):
    truth = of_family(name, write(name, tmp_path, count=5))
    done = command(name, "--splits", "val", workers=workers)
    assert (done.code, done.errors()) == (0, [])
    assert_prepared(tmp_path, truth)
    for dataset in truth:
        folder = tmp_path / split_of(dataset).label_dir
        assert f"{dataset}: 5 made, 0 already there, 0 bad; officially " in done.out
        assert f"labels in {folder}\n" in done.out
        assert f"'{dataset}'" in done.out.splitlines()[-1]
    again = command(name, "--check", "--splits", "val")
    assert (again.code, again.errors()) == (0, [])


@pytest.mark.parametrize("name", NAMES)
def test_training_splits_are_prepared_on_request(name, command, tmp_path):
    validation = of_family(name, write(name, tmp_path, "val"))
    training = of_family(name, write(name, tmp_path, "train", seed=1))
    assert command(name, "--splits", "train", "val").code == 0
    assert_prepared(tmp_path, validation | training)


@pytest.mark.parametrize("name", NAMES)
def test_label_files_are_plain_grey_png(name, command, tmp_path):
    truth = of_family(name, write(name, tmp_path))
    command(name, "--splits", "val")
    wide = name in ("ade20k_847", "pascal_context_459")
    for dataset, expected in truth.items():
        for stem in expected:
            head = label_path(tmp_path, dataset, stem).read_bytes()[:26]
            assert head[24:26] == bytes([16 if wide else 8, 0])  # bit depth, grey
            assert label_path(tmp_path, dataset, stem).stat().st_mode & 0o044 == 0o044


def test_all_prepares_everything(command, tmp_path):
    truth = {}
    for name in (
        *("coco_stuff", "ade20k_150", "ade20k_847", "pascal_context", "pascal_voc"),
        "cityscapes_19",
    ):
        truth |= BUILDERS[name](tmp_path, "val", 3, 0)
    done = command("all", workers=2)
    assert done.code == 0
    assert len(truth) == 11 and len(done.out.splitlines()) == 11 + 1
    assert_prepared(tmp_path, truth)


def test_raw_values_are_those_of_the_official_lists():
    assert read_benchmark("coco_stuff_171")["raw_values"] == COCO_VALUES
    assert read_benchmark("pascal_context_59")["raw_values"] == CONTEXT_59
    content = read_benchmark("ade20k_847")
    ids = dict(zip([names[0] for names in content["classes"]], content["raw_values"]))
    assert (ids["wall"], ids["building"], ids["sky"], ids["adding machine"]) == (
        2978,
        312,
        2420,
        3148,
    )
    text = ",".join(map(str, content["raw_values"]))
    assert len(set(content["raw_values"])) == 847
    assert hashlib.sha256(text.encode()).hexdigest().startswith("bcfc1752c4119012ed706b14f893526e")


def test_coco_values_are_one_less_than_the_list_and_unused_things_are_ignored(command, tmp_path):
    raw = np.arange(256, dtype=np.uint8)
    raw = np.where(raw < 182, raw, 255).reshape(16, 16).astype(np.uint8)
    write_png(tmp_path / "coco-stuff/annotations/val2017/000000000001.png", raw)
    write_picture(tmp_path / "coco-stuff/images/val2017/000000000001.jpg", raw.astype(int))
    assert command("coco_stuff").code == 0
    label = labels(tmp_path, "coco_stuff_val")["000000000001"].ravel()
    names = read_benchmark("coco_stuff_171")["classes"]
    assert names[label[0]] == ["person"] and names[label[181]] == ["wood"]
    assert label[np.array(COCO_UNUSED) - 1].tolist() == [255] * 11
    assert np.count_nonzero(label[:182] == 255) == 11 and (label[182:] == 255).all()


def big_ade_pair(root, height, width, name="ADE_val_00000001"):
    """A picture and ids whose neighbours all differ."""
    rng = np.random.default_rng(5)
    ids = rng.choice(read_benchmark("ade20k_847")["raw_values"], (height, width))
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    scene = root / "ADE20K_2021_17_01/images/ADE/validation/home/attic"
    write_png(scene / f"{name}_seg.png", ade_rgb(ids))
    Image.fromarray(picture).save(scene / f"{name}.jpg", quality=95)
    return ids


@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((600, 701), (512, 598)),  # 701 / 600 * 512 = 598.2
        ((701, 600), (598, 512)),
        ((515, 771), (512, 767)),  # 766.51: rounded, not cut
        ((513, 513), (512, 512)),
        ((512, 900), (512, 900)),  # the short side does not exceed 512
        ((300, 900), (300, 900)),
    ],
)
def test_ade20k_847_takes_the_pixels_that_opencv_takes(size, reduced, command, tmp_path):
    ids = big_ade_pair(tmp_path, *size)
    assert command("ade20k_847").code == 0
    label = labels(tmp_path, "ade20k_847_val")["ADE_val_00000001"]
    assert label.shape == reduced
    rows = np.floor(np.arange(reduced[0]) * (size[0] / reduced[0])).astype(int)
    columns = np.floor(np.arange(reduced[1]) * (size[1] / reduced[1])).astype(int)
    class_of = {value: k for k, value in enumerate(read_benchmark("ade20k_847")["raw_values"])}
    expected = np.vectorize(class_of.get)(ids[rows][:, columns])
    assert np.mean(label != expected) <= 4e-5  # where the quotient is a whole number


def test_ade20k_847_pictures_are_reduced_bilinearly_and_coded_once_more(command, tmp_path):
    big_ade_pair(tmp_path, 600, 701)
    big_ade_pair(tmp_path, 40, 50, "ADE_val_00000002")
    assert command("ade20k_847").code == 0
    top = tmp_path / "ADE20K_2021_17_01"
    for name, size in (("ADE_val_00000001", (598, 512)), ("ADE_val_00000002", (50, 40))):
        with Image.open(next((top / "images/ADE").rglob(f"{name}.jpg"))) as raw:
            picture = cv2.resize(np.asarray(raw), size, interpolation=cv2.INTER_LINEAR)
        Image.fromarray(picture).save(tmp_path / "expected.jpg")
        made = (top / f"images_detectron2/validation/{name}.jpg").read_bytes()
        assert made == (tmp_path / "expected.jpg").read_bytes()


def test_ade20k_847_writes_no_file_twice_into_its_flat_folder(command, tmp_path):
    truth = write("ade20k_847", tmp_path)["ade20k_847_val"]
    scenes = tmp_path / "ADE20K_2021_17_01/images/ADE/validation"
    for ending in (".jpg", "_seg.png"):
        source = next(scenes.rglob(f"ADE_val_00000002{ending}"))
        copy = scenes / "nature/beach" / source.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    done = command("ade20k_847")
    assert done.code == 1
    for folder in ("nature/beach", "urban/street"):
        assert f"{folder}/ADE_val_00000002_seg.png" in done.err
    assert_prepared(tmp_path, {"ade20k_847_val": truth}, without="ADE_val_00000002")


def test_ade20k_847_has_further_words_for_training_pictures(command, tmp_path):
    write("ade20k_847", tmp_path, "train", count=1)
    scene = tmp_path / "ADE20K_2021_17_01/images/ADE/training/home/attic"
    for path in list(scene.glob("ADE_train_00000001*")):
        if path.is_file():
            path.rename(scene / path.name.replace("train", "frame"))
    assert command("ade20k_847", "--splits", "train").code == 0
    assert list(labels(tmp_path, "ade20k_847_train")) == ["ADE_frame_00000001"]


def test_context_59_paints_later_regions_over_earlier_ones(command, tmp_path):
    whole, part = np.ones((6, 9), bool), np.zeros((6, 9), bool)
    part[2:4, 3:] = True
    first, second, outside = CONTEXT_59[7], CONTEXT_59[30], 1
    corner = np.zeros((6, 9), bool)
    corner[0, 0] = True
    annotations = [
        context_annotation(2008000007, first, whole),
        context_annotation(2008000007, second, part),
        context_annotation(2008000007, outside, corner),
    ]
    image = context_image("2008_000007", 2008000007, "val", 6, 9)
    write_context_json(tmp_path, [image], annotations)
    write_picture(tmp_path / "VOCdevkit/VOC2010/JPEGImages/2008_000007.jpg", whole.astype(int))
    assert command("pascal_context_59").code == 0
    expected = np.where(part, 30, 7)
    expected[0, 0] = 255  # accordion is none of the 59
    label = labels(tmp_path, "pascal_context_59_val")["2008_000007"]
    np.testing.assert_array_equal(label, expected)


def test_context_59_reads_run_lengths_as_numbers_too(command, tmp_path):
    segmentation = {"size": [2, 3], "counts": [1, 2, 3]}  # column by column
    annotation = {"image_id": 1, "category_id": 2, "segmentation": segmentation}
    image = context_image("2008_000007", 1, "val", 2, 3)
    write_context_json(tmp_path, [image], [annotation])
    top = tmp_path / "VOCdevkit/VOC2010/JPEGImages"
    write_picture(top / "2008_000007.jpg", np.zeros((2, 3), int))
    assert command("pascal_context_59").code == 0
    label = labels(tmp_path, "pascal_context_59_val")["2008_000007"]
    np.testing.assert_array_equal(label, [[255, 0, 255], [0, 255, 255]])


@pytest.mark.parametrize("place", ["VOCdevkit/VOC2010", "VOCdevkit", "."])
def test_context_459_finds_the_published_list(place, command, tmp_path):
    truth = write("pascal_context_459", tmp_path)["pascal_context_459_val"]
    top = tmp_path / "VOCdevkit/VOC2010"
    ids = (top / "pascalcontext_val.txt").read_text(encoding="utf-8")
    assert not ids.endswith("\n")
    (top / "pascalcontext_val.txt").unlink()
    chosen = sorted(truth)[:2]
    path = tmp_path / place / "pascalcontext_val.txt"
    path.write_text("\r\n".join(chosen), encoding="utf-8")
    done = command("pascal_context_459")
    assert done.code == 0 and f"2 ids from {path}" in done.err
    assert sorted(labels(tmp_path, "pascal_context_459_val")) == chosen


def test_context_459_takes_the_json_and_then_vocs_own_list(command, tmp_path):
    truth = write("pascal_context_459", tmp_path)
    write("pascal_context_459", tmp_path, "train")
    top = tmp_path / "VOCdevkit/VOC2010"
    (top / "pascalcontext_val.txt").unlink()
    own = top / "ImageSets/Main/val.txt"
    own.write_text("2009_000034\n", encoding="utf-8")
    done = command("pascal_context_459")
    assert done.code == 0 and "3 ids from" in done.err and "trainval_merged.json" in done.err
    assert_prepared(tmp_path, {k: v for k, v in truth.items() if "459" in k})
    (top / "trainval_merged.json").unlink()
    assert f"1 ids from {own}" in command("pascal_context_459", "--check").err


def test_voc_masks_without_a_palette_hold_the_same_indices(command, tmp_path):
    truth = write("pascal_voc", tmp_path)
    for path in (tmp_path / "VOCdevkit/VOC2012/SegmentationClass").iterdir():
        with Image.open(path) as image:
            assert image.mode == "P"
            indices = np.array(image)
        Image.fromarray(indices).save(path)
    assert command("pascal_voc").code == 0
    assert_prepared(tmp_path, truth)


def test_voc_mask_without_objects_is_kept_and_named(command, tmp_path):
    truth = write("pascal_voc", tmp_path)
    raw = np.zeros(truth["pascal_voc_20_val"]["2007_000034"].shape)
    raw[0] = 255
    write_palette_png(tmp_path / "VOCdevkit/VOC2012/SegmentationClass/2007_000034.png", raw)
    truth["pascal_voc_20_val"]["2007_000034"] = np.full(raw.shape, 255)
    truth["pascal_voc_20b_val"]["2007_000034"] = np.where(raw == 0, 20, 255)
    done = command("pascal_voc")
    assert done.code == 0
    assert_prepared(tmp_path, truth)
    warned = [line for line in done.err.splitlines() if "every pixel is ignored" in line]
    assert len(warned) == 1 and "annotations_detectron2/val/2007_000034.png" in warned[0]
