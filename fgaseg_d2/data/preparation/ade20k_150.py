"""ADE20K-150 (MIT Scene Parsing): 8-bit PNGs that hold class + 1, and 0 for other objects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from .locating import Part, require
from .pairing import pair_folders
from .raw_files import read_png
from .samples import Family, Listing, Sample
from .value_table import ValueTable

_FOLDERS = {"train": "training", "val": "validation"}


class Ade20k150(Family):
    """The label maps of ADEChallengeData2016.zip."""

    name = "ade20k_150"
    benchmarks = ("ade20k_150",)

    def find(self, root: Path, split: str) -> Listing:
        """Pair annotations/<split> with images/<split>."""
        labels, pictures = require(
            root,
            [
                Part("label maps", f"ADEChallengeData2016/annotations/{_FOLDERS[split]}", ".png"),
                Part("pictures", f"ADEChallengeData2016/images/{_FOLDERS[split]}", ".jpg"),
            ],
        )
        return pair_folders(self, root, split, labels, pictures)

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """Other objects are ignored."""
        return {"ade20k_150": ValueTable(range(1, 151), [0], 255)}

    def read(self, sample: Sample) -> np.ndarray:
        """Read one channel of 8 bits."""
        return read_png(sample.raw_label, ("L",), "a one-channel 8-bit label map")
