"""Cityscapes: gtFine's label ids, in a folder for each city, beside pictures in PNG."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...io.regular_files import is_litter
from ...vocabulary.parsing import read_benchmark
from .locating import Part, require
from .pairing import unexpected, unpaired
from .raw_files import files_in, read_png
from .samples import Family, Listing, Sample
from .value_table import ValueTable

_PICTURE, _LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"
_LABEL_IDS, _NO_LABEL = range(34), 255  # a license plate's -1 as 8 bits hold it
_TOP = "cityscapes"


class Cityscapes(Family):
    """The label ids of gtFine_trainvaltest.zip; ids that are not evaluated are ignored.

    The train ids that other programs make of the same polygons are not needed. Prepared labels
    have the names of their pictures, city and all.
    """

    name = "cityscapes_19"
    benchmarks = ("cityscapes_19",)

    def find(self, root: Path, split: str) -> Listing:
        """Pair leftImg8bit/<split>/<city> with gtFine/<split>/<city>."""
        tops = require(
            root,
            [
                Part("label ids", f"{_TOP}/gtFine/{split}"),
                Part("pictures", f"{_TOP}/leftImg8bit/{split}"),
            ],
        )
        labels, pictures = (
            _files(top, ending) for top, ending in zip(tops, (_LABEL, _PICTURE), strict=True)
        )
        for top, files, ending in ((tops[0], labels, _LABEL), (tops[1], pictures, _PICTURE)):
            if not files:
                raise FileNotFoundError(
                    f"expected *{ending} files in a folder for each city in {top}, found none; "
                    "unpack the archive anew"
                )
        both = sorted(labels.keys() & pictures.keys())
        samples = [
            self.sample(root, split, stem, labels[stem], raw_picture=pictures[stem])
            for stem in both
        ]
        strangers = [path for path in tops[1].iterdir() if path.is_file()]
        shown = [path for path in sorted(strangers) if not is_litter(path.name)]
        return Listing(samples, unexpected(shown) + unpaired(labels, pictures))

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """The 19 evaluated ids."""
        classes = read_benchmark("cityscapes_19")["raw_values"]
        return {"cityscapes_19": ValueTable(classes, [*_LABEL_IDS, _NO_LABEL], 255)}

    def read(self, sample: Sample) -> np.ndarray:
        """Read one channel of 8 bits."""
        return read_png(sample.raw_label, ("L",), "a one-channel 8-bit map of label ids")

    def sample(self, root: Path, split: str, stem: str, raw_label: Path, **more: Any) -> Sample:
        """A sample named CITY/FRAME, whose prepared label is called as its picture."""
        folders = self.splits(split)[self.benchmarks[0]]
        name = f"{stem}{_PICTURE}"
        picture = root / folders.image_dir / name
        usual: dict[str, Any] = {
            "raw_picture": picture,
            "picture": picture,
            "labels": {self.benchmarks[0]: root / folders.label_dir / name},
        }
        return Sample(stem, raw_label, **(usual | more))

    def product_folders(self, root: Path, split: str) -> list[Path]:
        """See `Family`: one for each city."""
        folders = self.splits(split)[self.benchmarks[0]]
        tops = (root / folders.image_dir, root / folders.label_dir)
        cities = {path.name for top in tops if top.is_dir() for path in top.iterdir()
                  if path.is_dir() and not is_litter(path.name)}  # fmt: skip
        return [tops[1] / city for city in sorted(cities)]

    def prepared(self, root: Path, split: str) -> Listing:
        """See `Family`."""
        folders = self.splits(split)[self.benchmarks[0]]
        tops = (root / folders.label_dir, root / folders.image_dir)
        stems = sorted({stem for top in tops for stem in _files(top, _PICTURE)})
        more = {"raw_label": Path(), "raw_picture": Path()}
        return Listing([self.sample(root, split, stem, **more) for stem in stems])


def _files(top: Path, ending: str) -> dict[str, Path]:
    """Files below the cities by CITY/FRAME, which both kinds share."""
    cities = sorted(path for path in top.iterdir() if path.is_dir()) if top.is_dir() else []
    return {
        f"{city.name}/{stem}": path
        for city in cities
        for stem, path in files_in(city, ending).found.items()
    }
