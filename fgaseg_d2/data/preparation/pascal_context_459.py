"""PASCAL-Context with 459 classes: MATLAB files whose LabelMap holds numbers of labels.txt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from .context_json import ContextJson
from .locating import Part, hint, require
from .matlab_files import label_map, read_variable
from .pairing import with_pictures
from .raw_files import read_ids
from .samples import Family, Listing, Sample
from .value_table import ValueTable

_TOP = "VOCdevkit/VOC2010"
_KEY = "LabelMap"
_UNLABELLED = 0
_CLASSES = range(1, 460)


class PascalContext459(Family):
    """The label maps of PASCAL-Context's trainval.tar.gz."""

    name = "pascal_context_459"
    benchmarks = ("pascal_context_459",)
    shares_pictures = True

    def find(self, root: Path, split: str) -> Listing:
        """List the ids of the split, from the first list that is there."""
        maps, _ = require(
            root,
            [
                Part("label maps", f"{_TOP}/trainval", ".mat"),
                Part("pictures", f"{_TOP}/JPEGImages", ".jpg"),
            ],
        )
        path = _list_of_ids(root, split)
        if path.suffix == ".json":
            content = ContextJson(path)
            ids, problems = content.stems(split), content.problems
        else:
            ids, problems = read_ids(path)
        listing = Listing(
            [self.sample(root, split, stem, maps / f"{stem}.mat") for stem in ids],
            problems,
            notes=[f"{len(ids):,} ids from {path}"],
        )
        return with_pictures(listing)

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """Unlabelled pixels are ignored; in unsigned numbers 0 - 1 would be so by accident."""
        return {"pascal_context_459": ValueTable(_CLASSES, [_UNLABELLED], 65535)}

    def read(self, sample: Sample) -> np.ndarray:
        """Read the LabelMap."""
        path = sample.raw_label
        content = read_variable(path, _KEY, "the archive of PASCAL-Context's 459 classes")
        return label_map(content, path, _KEY)


def _list_of_ids(root: Path, split: str) -> Path:
    """Find which file says what belongs to the split.

    The published results are over the 5,104 ids of pascalcontext_val.txt, which are as many as the
    JSON file of the 59 classes has; VOC's own list has one more.
    """
    own = f"{_TOP}/ImageSets/Main/{split}.txt"
    merged = f"{_TOP}/trainval_merged.json"
    published = [f"{top}pascalcontext_{split}.txt" for top in (f"{_TOP}/", "VOCdevkit/", "")]
    places = [*published, merged, own] if split == "val" else [own, merged]
    for place in places:
        if (root / place).is_file():
            return root / place
    near = hint(root, Part("the list of ids", places[0], Path(places[0]).name))
    raise FileNotFoundError(
        f"expected the list of ids at {root / places[0]}, found nothing{near}; without it "
        f"{' or '.join(places[1:])} below {root} would do"
    )
