"""VOC's train_aug: its own masks and those of SBD, and never a picture of val."""

import shutil

import numpy as np
import pytest
import scipy.io
from detectron2.data import DatasetCatalog
from PIL import Image

from fgaseg_d2.data import register_benchmarks
from tests.data.preparation.command import assert_prepared, label_path, snapshot
from tests.raw_trees import VOC, pascal_voc_aug, write, write_ids, write_picture, write_png

SBD = "VOCdevkit/VOCaug/dataset"
LISTS = f"{VOC}/ImageSets/Segmentation"
DATASET = "pascal_voc_20_train_aug"


@pytest.fixture
def prepare(command):
    """Prepares, or checks, the split alone."""
    return lambda *words, **more: command("pascal_voc", *words, "--splits", "train_aug", **more)


def make_pngs(root):
    """Turn SBD's masks into the SegmentationClassAug that is handed round."""
    for path in (root / SBD / "cls").iterdir():
        mask = scipy.io.loadmat(path)["GTcls"]["Segmentation"][0, 0]
        write_png(root / VOC / f"SegmentationClassAug/{path.stem}.png", mask)
    shutil.rmtree(root / "VOCdevkit/VOCaug")


@pytest.mark.parametrize("workers", [1, 2])
def test_masks_of_both_come_out_as_they_went_in(workers, prepare, tmp_path):
    truth = pascal_voc_aug(tmp_path)
    done = prepare(workers=workers)
    assert (done.code, done.errors()) == (0, [])
    assert f"{DATASET}: 6 made, 0 already there, 0 bad; officially 10,582" in done.out
    assert "Evaluate" not in done.out
    # One of the ids is VOC's own, and of one in val nothing is taken.
    assert f"4 ids from {tmp_path / SBD / 'train.txt'} and val.txt; 1 more are" in done.err
    assert_prepared(tmp_path, truth)
    before = snapshot(tmp_path)
    checked = prepare("--check")
    assert (checked.code, checked.errors()) == (0, []) and "6 good, 0 bad" in checked.out
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["trainaug.txt", "aug.txt"])
def test_ready_made_masks_and_lists_give_the_same(name, prepare, tmp_path):
    truth = pascal_voc_aug(tmp_path)
    make_pngs(tmp_path)
    ids = [stem for stem in truth[DATASET] if name == "trainaug.txt" or stem.startswith("2008")]
    write_ids(tmp_path / LISTS / name, ids)
    done = prepare()
    assert (done.code, done.errors()) == (0, [])
    assert f"{len(ids)} ids from {tmp_path / LISTS / name}; masks from" in done.err
    assert_prepared(tmp_path, truth)


def test_pictures_of_val_are_named_and_left_out_wherever_they_are_listed(prepare, tmp_path):
    truth = pascal_voc_aug(tmp_path)
    write_ids(tmp_path / LISTS / "trainaug.txt", [*truth[DATASET], "2007_000034", "2007_000033"])
    with open(tmp_path / LISTS / "train.txt", "a", encoding="utf-8") as file:
        file.write("2007_000033\n")
    done = prepare()
    assert done.code == 1
    assert done.errors() == [
        f"error: {tmp_path / LISTS / listed}: {stem} is a picture of VOC's validation list; "
        "remove it"
        for listed, stem in (
            ("train.txt", "2007_000033"),
            ("trainaug.txt", "2007_000034"),
            ("trainaug.txt", "2007_000033"),
        )
    ]
    assert_prepared(tmp_path, truth)


@pytest.mark.parametrize("raw", [True, False], ids=["with raw files", "prepared files alone"])
def test_the_check_names_a_prepared_picture_of_val(raw, command, prepare, tmp_path):
    pascal_voc_aug(tmp_path)
    assert prepare().code == 0
    assert command("pascal_voc").code == 0
    if not raw:
        for folder in ("SegmentationClass", "ImageSets"):
            shutil.rmtree(tmp_path / VOC / folder)
        shutil.rmtree(tmp_path / "VOCdevkit/VOCaug")
        assert prepare("--check").code == 0
    intruder = label_path(tmp_path, DATASET, "2007_000033")
    shutil.copy(label_path(tmp_path, "pascal_voc_20_val", "2007_000033"), intruder)
    done = prepare("--check")
    assert done.code == 1
    line = done.errors()[0]
    assert "2007_000033" in line and str(intruder.parent) in line


def damage_cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_value(path):
    scipy.io.savemat(path, {"GTcls": {"Segmentation": np.full((45, 47), 21, np.uint8)}})


def damage_size(path):
    scipy.io.savemat(path, {"GTcls": {"Segmentation": np.ones((9, 7), np.uint8)}})


RAW_DAMAGE = {
    "cut": (damage_cut, "expected a MATLAB file"),
    "empty": (lambda path: path.write_bytes(b""), "got an empty file"),
    "gone": (lambda path: path.unlink(), "expected it for 2008_002001, found nothing"),
    "instances": (lambda path: scipy.io.savemat(path, {"GTinst": 1}), "a GTcls, got GTinst"),
    "no field": (
        lambda path: scipy.io.savemat(path, {"GTcls": {"Boundaries": 1}}),
        "a GTcls with one Segmentation, got Boundaries",
    ),
    "no struct": (lambda path: scipy.io.savemat(path, {"GTcls": 3}), "got no fields"),
    "fractions": (
        lambda path: scipy.io.savemat(path, {"GTcls": {"Segmentation": np.full((4, 4), 0.5)}}),
        "a GTcls.Segmentation of whole numbers",
    ),
    "21": (damage_value, "expected raw label values 0 .. 20, 255, got 21"),
    "size": (damage_size, "expected the size of its picture"),
}


@pytest.mark.parametrize("kind", RAW_DAMAGE)
def test_a_damaged_mask_of_sbd_is_named_and_the_rest_prepared(kind, prepare, tmp_path):
    truth = pascal_voc_aug(tmp_path)
    damage, words = RAW_DAMAGE[kind]
    path = tmp_path / SBD / "cls/2008_002001.mat"
    damage(path)
    done = prepare()
    (line,) = done.errors()
    assert done.code == 1 and str(path) in line and words in line
    assert_prepared(tmp_path, truth, without="2008_002001")


def test_the_check_names_damaged_and_missing_labels(prepare, tmp_path):
    pascal_voc_aug(tmp_path)
    prepare()
    damage_cut(label_path(tmp_path, DATASET, "2008_002000"))
    label_path(tmp_path, DATASET, "2007_001001").unlink()
    write_picture(tmp_path / VOC / "JPEGImages/2008_002002.jpg", np.zeros((4, 4), int))
    done = prepare("--check")
    assert done.code == 1
    for stem in ("2008_002000", "2007_001001", "2008_002002"):
        assert any(stem in line for line in done.errors())
    assert "3 good, 3 bad" in done.out


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (f"{SBD}/cls", "expected SBD's masks at "),
        (f"{SBD}/train.txt", "expected the list of ids at "),
        (f"{LISTS}/val.txt", "expected the list of ids at "),
        (f"{LISTS}/train.txt", "expected the list of ids at "),
        (f"{VOC}/SegmentationClass", "expected masks at "),
    ],
)
def test_a_missing_part_is_one_line(gone, words, prepare, tmp_path):
    pascal_voc_aug(tmp_path)
    shutil.move(tmp_path / gone, tmp_path / "elsewhere")
    done = prepare()
    (line,) = done.errors()
    assert done.code == 1 and words in line
    assert not (tmp_path / VOC / "annotations_detectron2").exists()


def test_the_unpacked_archive_is_found_where_it_lies(prepare, tmp_path):
    pascal_voc_aug(tmp_path)
    (tmp_path / "VOCdevkit/VOCaug").rename(tmp_path / "benchmark_RELEASE")
    (line,) = prepare().errors()
    assert f"(but {tmp_path / 'benchmark_RELEASE/dataset/cls'} looks like it: move or link" in line


def test_a_dataset_without_the_split_says_so(command, tmp_path):
    write("coco_stuff", tmp_path)
    done = command("coco_stuff", "--splits", "val", "train_aug")
    (line,) = done.errors()
    assert "coco_stuff: expected a split of train, val, got train_aug" in line
    assert "coco_stuff_val: 3 made" in done.out


def test_it_is_registered_and_loads(prepare, tmp_path):
    truth = pascal_voc_aug(tmp_path)
    prepare()
    register_benchmarks(tmp_path)
    try:
        records = DatasetCatalog.get(DATASET)
    finally:
        register_benchmarks()
    assert len(records) == 6
    for record in records:
        stem = record["file_name"].rpartition("/")[2].removesuffix(".jpg")
        with Image.open(record["sem_seg_file_name"]) as label:
            np.testing.assert_array_equal(np.asarray(label), truth[DATASET][stem])
