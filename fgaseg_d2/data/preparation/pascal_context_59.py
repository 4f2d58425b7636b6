"""PASCAL-Context with 59 classes: regions of one JSON file, each with a category."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from ...io.coco_masks import decoded_mask
from ...vocabulary.parsing import read_benchmark
from .context_json import ContextJson
from .locating import Part, require
from .pairing import with_pictures
from .samples import Family, Listing, Sample
from .value_table import ValueTable

UNLABELLED = 0
LAST_LABEL = 459  # of labels.txt
_ADVICE = "download the file anew"


class PascalContext59(Family):
    """The regions of trainval_merged.json."""

    name = "pascal_context_59"
    benchmarks = ("pascal_context_59",)
    shares_pictures = True

    def find(self, root: Path, split: str) -> Listing:
        """List the pictures of a phase of the JSON file."""
        path, _ = require(
            root,
            [
                Part("annotations", "VOCdevkit/VOC2010/trainval_merged.json", ".json"),
                Part("pictures", "VOCdevkit/VOC2010/JPEGImages", ".jpg"),
            ],
        )
        content = ContextJson(path)
        samples = [
            self.sample(root, split, stem, path, annotations=regions)
            for stem, regions in content.regions(split).items()
        ]
        if not samples:
            raise ValueError(f"{path}: expected pictures of the phase {split!r}, got none")
        return with_pictures(Listing(samples, content.problems, content.warnings))

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """What is in no region, or in one of another name in labels.txt, is ignored."""
        classes = read_benchmark("pascal_context_59")["raw_values"]
        return {"pascal_context_59": ValueTable(classes, range(LAST_LABEL + 1), 255)}

    def read(self, sample: Sample) -> np.ndarray:
        """Paint the regions one after the other; later ones overwrite."""
        size, annotations = sample.annotations
        label = np.full(size, UNLABELLED, np.int32)
        for annotation in annotations:
            where = f"{sample.raw_label}: annotation {annotation.get('id')} of {sample.stem}"
            mask = decoded_mask(annotation.get("segmentation"), size, where, _ADVICE)
            label[mask.view(bool)] = _category(annotation, where)
        return label


def _category(annotation: dict, where: str) -> int:
    category = annotation.get("category_id")
    if not isinstance(category, int) or not 0 <= category <= LAST_LABEL:
        raise ValueError(
            f"{where}: expected a category_id 0 .. {LAST_LABEL}, got {category!r}; {_ADVICE}"
        )
    return category
