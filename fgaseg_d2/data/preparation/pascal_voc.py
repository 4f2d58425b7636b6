"""PASCAL VOC 2012: palette PNGs whose indices are 0 for background, class + 1, 255 for borders.

The split "train_aug" adds SBD's masks to those of "train", except of pictures of "val".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from . import sbd
from .locating import Part, require
from .pairing import with_pictures
from .raw_files import read_ids, read_png
from .samples import Family, Listing, Sample
from .value_table import ValueTable

_BACKGROUND, _BORDER = 0, 255
_CLASSES = range(1, 21)
_TOP = "VOCdevkit/VOC2012"
_AUGMENTED = "train_aug"


class PascalVoc(Family):
    """SegmentationClass of VOCtrainval_11-May-2012.tar and SBD, for PAS-20 and PAS-20b."""

    name = "pascal_voc"
    benchmarks: ClassVar[tuple[str, ...]] = ("pascal_voc_20", "pascal_voc_20b")
    shares_pictures = True

    def find(self, root: Path, split: str) -> Listing:
        """List the ids of ImageSets/Segmentation/<split>.txt; for "train_aug" see `sbd`."""
        lists = ("train", "val") if split == _AUGMENTED else (split,)
        masks, _, *paths = require(
            root,
            [
                Part("masks", f"{_TOP}/SegmentationClass", ".png"),
                Part("pictures", f"{_TOP}/JPEGImages", ".jpg"),
                *(Part("the list of ids", _list_of(name)) for name in lists),
            ],
        )
        ids, problems = read_ids(paths[0])
        listing = Listing(problems=problems)
        if split == _AUGMENTED:
            held_out = set(read_ids(paths[1])[0])
            ids, wrong = sbd.without_held_out(ids, held_out, str(paths[0]))
            listing.problems += wrong
            self._add_sbd(root, listing, held_out, set(ids))
        own = [self.sample(root, split, stem, masks / f"{stem}.png") for stem in ids]
        listing.samples = own + listing.samples
        return with_pictures(listing)

    def _add_sbd(self, root: Path, listing: Listing, held_out: set[str], own: set[str]) -> None:
        """Add the pictures that have a mask of SBD's alone."""
        folder, ending = sbd.find_masks(root)
        ids, problems, note = sbd.listed_ids(root, held_out)
        listing.samples += [
            self.sample(root, _AUGMENTED, stem, folder / f"{stem}{ending}")
            for stem in ids
            if stem not in own
        ]
        listing.problems += problems
        listing.notes.append(f"{note}; masks from {folder}")

    def prepared(self, root: Path, split: str) -> Listing:
        """See `Family`; what is prepared of "val" may be in no other split."""
        listing = super().prepared(root, split)
        if split != "val":
            held_out = {sample.stem for sample in super().prepared(root, "val").samples}
            if (root / _list_of("val")).is_file():
                held_out.update(read_ids(root / _list_of("val"))[0])
            folder = root / self.splits(split)[self.benchmarks[0]].label_dir
            stems = [sample.stem for sample in listing.samples]
            listing.problems += sbd.without_held_out(stems, held_out, str(folder))[1]
        return listing

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """Background is ignored in PAS-20, and class 20 in PAS-20b."""
        return {
            "pascal_voc_20": ValueTable(_CLASSES, [_BACKGROUND, _BORDER], 255),
            "pascal_voc_20b": ValueTable([*_CLASSES, _BACKGROUND], [_BORDER], 255),
        }

    def read(self, sample: Sample) -> np.ndarray:
        """Read indices, never colours; masks without a palette hold the same indices."""
        if sample.raw_label.suffix == ".mat":
            return sbd.read_mask(sample.raw_label)
        return read_png(sample.raw_label, ("P", "L"), "a palette PNG of class indices")


def _list_of(split: str) -> str:
    """The official list of ids, below the root."""
    return f"{_TOP}/ImageSets/Segmentation/{split}.txt"
