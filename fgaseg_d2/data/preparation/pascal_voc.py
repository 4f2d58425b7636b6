"""PASCAL VOC 2012: palette PNGs whose indices are 0 for background, class + 1, 255 for borders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from .locating import Part, require
from .pairing import with_pictures
from .raw_files import read_ids, read_png
from .samples import Family, Listing, Sample
from .value_table import ValueTable

_BACKGROUND, _BORDER = 0, 255
_CLASSES = range(1, 21)


class PascalVoc(Family):
    """SegmentationClass of VOCtrainval_11-May-2012.tar, for PAS-20 and PAS-20b."""

    name = "pascal_voc"
    benchmarks = ("pascal_voc_20", "pascal_voc_20b")
    shares_pictures = True

    def find(self, root: Path, split: str) -> Listing:
        """List the ids of ImageSets/Segmentation/<split>.txt."""
        top = "VOCdevkit/VOC2012"
        masks, _, ids_file = require(
            root,
            [
                Part("masks", f"{top}/SegmentationClass", ".png"),
                Part("pictures", f"{top}/JPEGImages", ".jpg"),
                Part("the list of ids", f"{top}/ImageSets/Segmentation/{split}.txt"),
            ],
        )
        ids, problems = read_ids(ids_file)
        samples = [self.sample(root, split, stem, masks / f"{stem}.png") for stem in ids]
        return with_pictures(Listing(samples, problems))

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """Background is ignored in PAS-20, and class 20 in PAS-20b."""
        return {
            "pascal_voc_20": ValueTable(_CLASSES, [_BACKGROUND, _BORDER], 255),
            "pascal_voc_20b": ValueTable([*_CLASSES, _BACKGROUND], [_BORDER], 255),
        }

    def read(self, sample: Sample) -> np.ndarray:
        """Read indices, never colours; masks without a palette hold the same indices."""
        return read_png(sample.raw_label, ("P", "L"), "a palette PNG of class indices")
