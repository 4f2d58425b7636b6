"""COCO-Object: the 80 things of COCO on COCO-Stuff's pixel maps, all else is background."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from ...vocabulary.parsing import read_benchmark
from .coco_stuff import CocoStuff
from .locating import Part, require
from .pairing import pair_folders
from .samples import Listing
from .value_table import ValueTable

_THINGS = 80
_VALUES, _UNLABELLED = range(182), 255


class CocoObject(CocoStuff):
    """The same files as COCO-Stuff's, never the instances of COCO.

    Source: the rule is that of GroupViT's conversion, which TCL and SCLIP share.
    """

    name = "coco_object_81"
    benchmarks = ("coco_object_81",)
    default_splits = ("val",)

    def find(self, root: Path, split: str) -> Listing:
        """As COCO-Stuff; what other programs put beside the maps is passed over."""
        labels, pictures = require(
            root,
            [
                Part("label maps", f"coco-stuff/annotations/{split}2017", ".png"),
                Part("pictures", f"coco-stuff/images/{split}2017", ".jpg"),
            ],
        )
        return pair_folders(self, root, split, labels, pictures, is_label=str.isdigit)

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """Stuff, unlabelled pixels and values that are no class are background; none is ignored."""
        things = read_benchmark("coco_stuff_171")["raw_values"][:_THINGS]
        background = [value for value in _VALUES if value not in things]
        classes = [_UNLABELLED, *things]
        return {"coco_object_81": ValueTable(classes, [], 255, background=background)}
