"""Downloads in the wrong place: what was expected, what is near, and which splits may be absent."""

import shutil

import pytest

from tests.conftest import tool
from tests.data.preparation.command import Command, assert_prepared
from tests.raw_trees import write


@pytest.mark.parametrize(
    ("name", "moved", "to", "expected", "near"),
    [
        (
            "coco_stuff",
            "coco-stuff",
            "coco",
            "coco-stuff/annotations/val2017",
            "coco/annotations/val2017",
        ),
        (
            "coco_stuff",
            "coco-stuff/annotations",
            "coco/stuffthingmaps",
            "coco-stuff/annotations/val2017",
            "coco/stuffthingmaps/val2017",
        ),
        (
            "pascal_voc",
            "VOCdevkit/VOC2012",
            "VOC2012",
            "VOCdevkit/VOC2012/SegmentationClass",
            "VOC2012/SegmentationClass",
        ),
        (
            "pascal_voc",
            "VOCdevkit",
            "VOCtrainval/VOCdevkit",
            "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt",
            "VOCtrainval/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt",
        ),
        (
            "ade20k_150",
            "ADEChallengeData2016",
            "ADEChallengeData2016/ADEChallengeData2016",
            "ADEChallengeData2016/annotations/validation",
            "ADEChallengeData2016/ADEChallengeData2016/annotations/validation",
        ),
        (
            "ade20k_847",
            "ADE20K_2021_17_01",
            "ade/ADE20K_2021_17_01",
            "ADE20K_2021_17_01/images/ADE/validation",
            "ade/ADE20K_2021_17_01/images/ADE/validation",
        ),
        (
            "pascal_context_59",
            "VOCdevkit/VOC2010/trainval_merged.json",
            "trainval_merged.json",
            "VOCdevkit/VOC2010/trainval_merged.json",
            "trainval_merged.json",
        ),
        (
            "pascal_context_459",
            "VOCdevkit/VOC2010/trainval",
            "trainval",
            "VOCdevkit/VOC2010/trainval",
            "trainval",
        ),
    ],
)
def test_wrong_place_is_told_with_a_likely_one(name, moved, to, expected, near, command, tmp_path):
    write(name, tmp_path)
    (tmp_path / moved).rename(tmp_path / "moving")
    (tmp_path / to).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "moving").rename(tmp_path / to)
    done = command(name, "--splits", "val")
    assert done.code == 1
    (line,) = done.errors()
    assert f" at {tmp_path / expected}, found nothing (but {tmp_path / near} looks like it" in line


def test_root_one_level_too_high_or_too_low(capfd, tmp_path):
    write("pascal_voc", tmp_path / "datasets")
    for wrong in (
        tmp_path,
        tmp_path / "datasets/VOCdevkit",
        tmp_path / "datasets/VOCdevkit/VOC2012",
    ):
        done = Command(wrong, capfd)("pascal_voc")
        assert done.code == 1 and f"give --root {tmp_path / 'datasets'})" in done.err


def test_unpacked_one_level_too_deep(command, tmp_path):
    write("coco_stuff", tmp_path)
    folder = tmp_path / "coco-stuff/annotations/val2017"
    folder.rename(tmp_path / "inner")
    folder.mkdir()
    (tmp_path / "inner").rename(folder / "val2017")
    done = command("coco_stuff")
    assert done.code == 1
    assert f"expected *.png files in {folder}, found none (but {folder / 'val2017'}" in done.err


def test_another_year_is_not_taken_for_the_right_one(command, tmp_path):
    write("pascal_voc", tmp_path)
    (tmp_path / "VOCdevkit/VOC2012").rename(tmp_path / "VOCdevkit/VOC2010")
    done = command("pascal_voc")
    assert done.code == 1 and "looks like it" not in done.err


def test_labels_and_pictures_of_different_splits(command, tmp_path):
    write("ade20k_150", tmp_path)
    write("ade20k_150", tmp_path / "other", "train")
    top = "ADEChallengeData2016/images"
    shutil.rmtree(tmp_path / top / "validation")
    (tmp_path / "other" / top / "training").rename(tmp_path / top / "validation")
    done = command("ade20k_150")
    assert done.code == 1 and len(done.errors()) == 1 and "same names" in done.errors()[0]


@pytest.mark.parametrize("split", ["train", "val"])
def test_one_split_of_coco_may_be_absent(split, command, tmp_path):
    truth = write("coco_stuff", tmp_path, split)
    done = command("coco_stuff")
    absent = {"train": "val", "val": "train"}[split]
    assert done.code == 0
    assert f"warning: coco_stuff {absent}: expected label maps at " in done.err
    assert f"coco-stuff/annotations/{absent}2017" in done.err
    assert_prepared(tmp_path, truth)
    assert command("coco_stuff", "--strict").code == 1
    asked = command("coco_stuff", "--splits", absent)
    assert asked.code == 1 and f"error: coco_stuff {absent}" in asked.err
    shutil.rmtree(tmp_path / f"coco-stuff/annotations/{split}2017")
    assert command("coco_stuff").code == 1  # pictures alone are no absent split


def test_no_split_at_all_is_an_error(command, tmp_path):
    done = command("coco_stuff")
    assert done.code == 1 and len(done.errors()) == 2


def test_pascal_context_459_without_any_list(command, tmp_path):
    write("pascal_context_459", tmp_path)
    top = tmp_path / "VOCdevkit/VOC2010"
    (top / "trainval_merged.json").unlink()
    (tmp_path / "downloads").mkdir()
    (top / "pascalcontext_val.txt").rename(tmp_path / "downloads/pascalcontext_val.txt")
    done = command("pascal_context_459")
    assert done.code == 1
    (line,) = done.errors()
    assert f"expected the list of ids at {top / 'pascalcontext_val.txt'}" in line
    assert f"but {tmp_path / 'downloads/pascalcontext_val.txt'} looks like it" in line


def test_root_from_the_environment_and_by_default(capfd, monkeypatch, tmp_path):
    truth = write("pascal_voc", tmp_path / "datasets")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    main = tool("prepare_datasets").main
    assert main(["pascal_voc"]) == 0
    assert_prepared(tmp_path / "datasets", truth)
    assert "DETECTRON2_DATASETS=" not in capfd.readouterr().out
    monkeypatch.delenv("DETECTRON2_DATASETS")
    monkeypatch.chdir(tmp_path)
    assert main(["pascal_voc", "--check"]) == 0
    assert main(["pascal_voc", "--root", "nowhere"]) == 1
    assert f"expected the datasets in {tmp_path / 'nowhere'}, found" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words", [["pascal"], [], ["pascal_voc", "--workers", "0"], ["pascal_voc", "--splits", "test"]]
)
def test_usage_errors(words, capfd):
    with pytest.raises(SystemExit) as caught:
        tool("prepare_datasets").main(words)
    error = capfd.readouterr().err
    assert caught.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1


def test_a_name_given_twice_is_prepared_once(command: Command, tmp_path):
    write("pascal_voc", tmp_path)
    done = command("pascal_voc", "pascal_voc")
    assert done.out.count("pascal_voc_20_val: 3 made") == 1
