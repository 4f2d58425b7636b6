"""ADE20K-847: colour-coded PNGs of the full ADE20K, reduced to a short side of 512 pixels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ...io.files import pillow_errors
from ...io.regular_files import is_litter
from ...vocabulary.parsing import read_benchmark
from .locating import Part, require
from .pairing import unexpected, unpaired
from .raw_files import read_png
from .samples import Family, Listing, Sample
from .value_table import ValueTable

_FOLDERS = {"train": "training", "val": "validation"}
_LABEL = "_seg.png"
_PICTURE = ".jpg"
# What lies beside them: descriptions, the parts of objects, and folders of instance masks.
_COMPANION = re.compile(r".*(\.json|_parts_\d+\.png|_atr\.txt)")
_INSTANCES = re.compile(r"ADE_[a-z]+_\d+")
_SHORT_SIDE = 512


class Ade20k847(Family):
    """The images folder of ADE20K_2021_17_01, walked; its index is a pickle and stays closed."""

    name = "ade20k_847"
    benchmarks = ("ade20k_847",)
    writes_pictures = True

    def find(self, root: Path, split: str) -> Listing:
        """Walk images/ADE/<split> and pair X_seg.png with X.jpg; results lie in flat folders."""
        relative = f"ADE20K_2021_17_01/images/ADE/{_FOLDERS[split]}"
        (top,) = require(root, [Part("scene folders", relative)])
        labels: dict[str, Path] = {}
        pictures: dict[str, Path] = {}
        strangers, collisions = [], []
        for path in _walk(top):
            ending = next((e for e in (_LABEL, _PICTURE) if path.name.endswith(e)), None)
            stem = path.name.removesuffix(ending) if ending else ""
            if not ending or _split(stem) != split:
                strangers.append(path)
                continue
            files = labels if ending == _LABEL else pictures
            if stem in files:
                collisions.append((path, files[stem]))
            files.setdefault(stem, path)
        if not labels:
            raise FileNotFoundError(f"expected ADE_*{_LABEL} files below {top}, found none there")
        listing = Listing(problems=unexpected(strangers) + unpaired(labels, pictures))
        for path, first in collisions:
            listing.problems.append(f"{path}: has the name of {first}; remove one of them")
        ambiguous = {
            path.name.removesuffix(_LABEL).removesuffix(_PICTURE) for path, _ in collisions
        }
        for stem in sorted((labels.keys() & pictures.keys()) - ambiguous):
            sample = self.sample(root, split, stem, labels[stem], raw_picture=pictures[stem])
            listing.samples.append(sample)
        return listing

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """Of some 3,000 names 847 are classes; the others, and 0, are ignored."""
        classes = read_benchmark("ade20k_847")["raw_values"]
        return {"ade20k_847": ValueTable(classes, range(25 * 256 + 256), 65535)}

    def read(self, sample: Sample) -> np.ndarray:
        """Decode name = R / 10 * 256 + G; B numbers the instances."""
        colors = read_png(sample.raw_label, ("RGB",), "a colour-coded label map")
        red, green = colors[..., 0].astype(np.int32), colors[..., 1].astype(np.int32)
        if (odd := red % 10 != 0).any():
            raise ValueError(
                f"{sample.raw_label}: expected multiples of 10 in the red channel, got "
                f"{np.unique(red[odd])[:5].tolist()} ({np.count_nonzero(odd)} px); unpack the "
                "original file"
            )
        return red // 10 * 256 + green

    def convert(self, sample: Sample) -> dict[Path, np.ndarray]:
        """Reduce picture and label alike; the picture comes first."""
        ((path, label),) = super().convert(sample).items()
        with pillow_errors("picture", sample.raw_picture), Image.open(sample.raw_picture) as image:
            picture = np.asarray(image if image.mode in ("RGB", "L") else image.convert("RGB"))
        height, width = label.shape
        if min(height, width) > _SHORT_SIDE:
            # The published results were scored on labels of OpenCV's "nearest", which takes the
            # pixel at floor(i * in / out). Pillow's takes another one.
            size = reduced_size(width, height)
            label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        return {sample.picture: picture, path: label}


def reduced_size(width: int, height: int) -> tuple[int, int]:
    """Scale two sides so that the shorter is 512."""
    long = round(max(width, height) / min(width, height) * _SHORT_SIDE)
    return (long, _SHORT_SIDE) if width >= height else (_SHORT_SIDE, long)


def _walk(top: Path) -> Iterator[Path]:
    """All files below the scenes that are no companions, in a fixed order."""
    for folder, folders, files in os.walk(top, followlinks=True):
        folders[:] = sorted(f for f in folders if not _INSTANCES.fullmatch(f) and not is_litter(f))
        for name in sorted(files):
            if not is_litter(name) and not _COMPANION.fullmatch(name):
                yield Path(folder, name)


def _split(stem: str) -> str:
    """The split that a name such as ADE_val_00000001 tells; there are other words than train."""
    words = stem.split("_")
    if len(words) < 2 or words[0] != "ADE":
        return ""
    return "val" if words[1] == "val" else "train"
