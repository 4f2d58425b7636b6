"""COCO-Stuff 164K: 8-bit PNGs that hold the number in the official label list minus 1."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...vocabulary.parsing import read_benchmark
from .locating import Part, require
from .pairing import pair_folders
from .raw_files import read_png
from .samples import Family, Listing, Sample
from .value_table import ValueTable

# The list goes from 1 to 182; things of it that nobody annotated are no classes.
_VALUES = range(182)
_UNLABELLED = 255


# What GroupViT's and mmsegmentation's scripts write beside the maps that they read.
_MADE_OF_THEM = ("_instanceTrainIds", "_labelTrainIds")


def _is_original(stem: str) -> bool:
    return not stem.endswith(_MADE_OF_THEM)


class CocoStuff(Family):
    """The pixel maps of stuffthingmaps_trainval2017.zip."""

    name = "coco_stuff"
    benchmarks = ("coco_stuff",)
    default_splits: ClassVar[tuple[str, ...]] = ("train", "val")

    def find(self, root: Path, split: str) -> Listing:
        """Pair annotations/<split>2017 with images/<split>2017."""
        labels, pictures = require(
            root,
            [
                Part("label maps", f"coco-stuff/annotations/{split}2017", ".png"),
                Part("pictures", f"coco-stuff/images/{split}2017", ".jpg"),
            ],
        )
        return pair_folders(self, root, split, labels, pictures, is_label=_is_original)

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """Unlabelled pixels and values that are no class are ignored."""
        classes = read_benchmark("coco_stuff_171")["raw_values"]
        return {"coco_stuff": ValueTable(classes, [*_VALUES, _UNLABELLED], 255)}

    def read(self, sample: Sample) -> np.ndarray:
        """Read one channel of 8 bits."""
        return read_png(sample.raw_label, ("L",), "a one-channel 8-bit label map")
