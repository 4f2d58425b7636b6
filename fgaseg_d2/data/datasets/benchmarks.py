"""The one table of the published benchmarks: where their files are and how they are evaluated.

Preparation, registration, evaluation and the results table all read it. Folders are relative to
the root of the datasets, the environment variable DETECTRON2_DATASETS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """One part of a benchmark, as preparation leaves it and registration finds it.

    Attributes:
        image_dir: folder of the pictures, JPEG.
        label_dir: folder of the prepared label files, PNG, named as the pictures.
        count: official number of label files.
    """

    image_dir: str
    label_dir: str
    count: int


@dataclass(frozen=True)
class Benchmark:
    """A dataset with its class list; split s is registered as ``<name>_<s>``.

    Attributes:
        name: of the benchmark.
        vocabulary: the bundled class list that its labels index.
        ignore_label: value of pixels that are not scored.
        splits: by name, "train", "val", and "train_aug" where others' masks are added to "train".
        column: its heading in the paper's Table I; "" where the paper has none.
        background_class: every prediction from this index on counts as this class, and the classes
            that are evaluated end with it; None where predictions count as they are.
    """

    name: str
    vocabulary: str
    ignore_label: int
    splits: Mapping[str, Split]
    column: str = ""
    background_class: int | None = None


def _pascal_context(
    name: str, short: str, column: str, ignore_label: int, train_count: int
) -> Benchmark:
    images = "VOCdevkit/VOC2010/JPEGImages"
    labels = f"VOCdevkit/VOC2010/annotations_detectron2/{short}"
    splits = {
        "train": Split(images, f"{labels}_train", train_count),
        # The merged annotations lack three of the 10,103 annotated pictures. One is of VOC's
        # validation list (5,105), which the published results lack as well.
        "val": Split(images, f"{labels}_val", 5104),
    }
    return Benchmark(name, name, ignore_label, splits, column)


def _pascal_voc(name: str, labels: str, column: str, background: int | None) -> Benchmark:
    root = "VOCdevkit/VOC2012"
    splits = {
        split: Split(f"{root}/JPEGImages", f"{root}/{labels}/{split}", count)
        # SBD has masks of 9,118 more pictures that are not in "val".
        for split, count in (("train", 1464), ("val", 1449), ("train_aug", 10_582))
    }
    return Benchmark(name, name, 255, splits, column=column, background_class=background)


def _pascal_voc_21() -> Benchmark:
    root = "VOCdevkit/VOC2012"
    splits = {
        split: Split(f"{root}/JPEGImages", f"{root}/annotations_detectron2_21/{split}", count)
        for split, count in (("train", 1464), ("val", 1449))
    }
    return Benchmark("pascal_voc_21", "pascal_voc_21", 255, splits)


def _cityscapes() -> Benchmark:
    splits = {
        split: Split(
            f"cityscapes/leftImg8bit/{split}", f"cityscapes/annotations_detectron2/{split}", count
        )
        for split, count in (("train", 2975), ("val", 500))
    }
    return Benchmark("cityscapes_19", "cityscapes_19", 255, splits)


def _coco_object() -> Benchmark:
    splits = {
        split: Split(
            f"coco-stuff/images/{split}2017",
            f"coco-stuff/annotations_detectron2_object/{split}2017",
            count,
        )
        for split, count in (("train", 118_287), ("val", 5_000))
    }
    return Benchmark("coco_object_81", "coco_object_81", 255, splits)


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "coco_stuff",
            "coco_stuff_171",
            255,
            {
                split: Split(
                    f"coco-stuff/images/{split}2017",
                    f"coco-stuff/annotations_detectron2/{split}2017",
                    count,
                )
                for split, count in (("train", 118_287), ("val", 5_000))
            },
        ),
        Benchmark(
            "ade20k_150",
            "ade20k_150",
            255,
            {
                split: Split(
                    f"ADEChallengeData2016/images/{folder}",
                    f"ADEChallengeData2016/annotations_detectron2/{folder}",
                    count,
                )
                for split, folder, count in (
                    ("train", "training", 20_210),
                    ("val", "validation", 2_000),
                )
            },
            "A-150",
        ),
        Benchmark(
            "ade20k_847",
            "ade20k_847",
            65535,
            {
                split: Split(
                    f"ADE20K_2021_17_01/images_detectron2/{folder}",
                    f"ADE20K_2021_17_01/annotations_detectron2/{folder}",
                    count,
                )
                for split, folder, count in (
                    ("train", "training", 25_574),
                    ("val", "validation", 2_000),
                )
            },
            "A-847",
        ),
        _pascal_context("pascal_context_59", "pc59", "PC-59", 255, 4996),
        _pascal_context("pascal_context_459", "pc459", "PC-459", 65535, 4998),
        _pascal_voc("pascal_voc_20", "annotations_detectron2", "PAS-20", None),
        _pascal_voc("pascal_voc_20b", "annotations_detectron2_bg", "PAS-20b", 20),
        # With background as class 0, and Cityscapes: what is evaluated without training on masks.
        _pascal_voc_21(),
        _pascal_context("pascal_context_60", "pc60", "", 255, 4996),
        _coco_object(),
        _cityscapes(),
    )
}
