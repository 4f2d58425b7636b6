"""What preparation knows about a dataset: its samples, and how raw labels become classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..datasets.benchmarks import BENCHMARKS, Split
from .raw_files import check_orientation, files_in, tagged_picture_size
from .value_table import ValueTable


@dataclass(frozen=True)
class Sample:
    """A picture with its raw label, and where the prepared files belong.

    Attributes:
        stem: name that all its files share.
        raw_label: file that holds the raw label.
        raw_picture: picture as downloaded.
        picture: picture that belongs to the prepared labels; another one than ``raw_picture`` where
            preparation writes it.
        labels: prepared label file for each benchmark.
        annotations: what else the family needs to know to read the raw label.
    """

    stem: str
    raw_label: Path
    raw_picture: Path
    picture: Path
    labels: Mapping[str, Path]
    annotations: Any = None

    @property
    def products(self) -> list[Path]:
        """Files that preparation writes for this sample."""
        pictures = [] if self.picture == self.raw_picture else [self.picture]
        return [*pictures, *self.labels.values()]


@dataclass
class Listing:
    """The samples of a split, and what was found on the way.

    Attributes:
        samples: those whose raw files are all there.
        problems: what is wrong with others, a line each that names the file.
        warnings: what is unusual.
        notes: what is worth knowing.
    """

    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Family(ABC):
    """Benchmarks that are prepared together, from the same download.

    Attributes:
        name: on the command line.
        benchmarks: names in BENCHMARKS.
        default_splits: those that are prepared if none is named.
        shares_pictures: whether the folder of the pictures also holds those of other splits.
        writes_pictures: whether the pictures are prepared as well.
    """

    name: ClassVar[str]
    benchmarks: ClassVar[tuple[str, ...]]
    default_splits: ClassVar[tuple[str, ...]] = ("val",)
    shares_pictures: ClassVar[bool] = False
    writes_pictures: ClassVar[bool] = False

    @abstractmethod
    def find(self, root: Path, split: str) -> Listing:
        """List the samples of a split from the raw files.

        Args:
            root: of the datasets.
            split: name of one in BENCHMARKS.

        Raises:
            RawDataMissing: nothing of the split is there.
            FileNotFoundError: part of it is missing.
            ValueError: a list or an index cannot be read.
        """

    @property
    @abstractmethod
    def tables(self) -> Mapping[str, ValueTable]:
        """For each benchmark, what the values of :meth:`read` become."""

    @abstractmethod
    def read(self, sample: Sample) -> np.ndarray:
        """Read the raw label: H x W integers.

        Raises:
            ValueError, FileNotFoundError: the file cannot be read or has another encoding.
        """

    def convert(self, sample: Sample) -> dict[Path, np.ndarray]:
        """Make the contents of the sample's prepared files, in the order to write them.

        Raises:
            ValueError, FileNotFoundError: something about the raw files is not as it should be.
        """
        raw = self.read(sample)
        size, tag = tagged_picture_size(sample.raw_picture)
        if raw.shape != size:
            raise ValueError(
                f"{sample.raw_label}: expected the size of its picture {sample.raw_picture} "
                f"({size[1]} x {size[0]}), got {raw.shape[1]} x {raw.shape[0]} for {sample.stem}; "
                "unpack both anew"
            )
        if not self.writes_pictures:
            check_orientation(sample.raw_picture, sample.raw_label, size, tag)
        return {
            sample.labels[name]: table.apply(raw, f"{sample.raw_label} ({sample.stem})")
            for name, table in self.tables.items()
        }

    def splits(self, split: str) -> dict[str, Split]:
        """The split in each of the benchmarks."""
        return {name: BENCHMARKS[name].splits[split] for name in self.benchmarks}

    def sample(self, root: Path, split: str, stem: str, raw_label: Path, **more: Any) -> Sample:
        """A sample whose files have the usual names; ``more`` sets other attributes."""
        folders = self.splits(split)
        picture = root / folders[self.benchmarks[0]].image_dir / f"{stem}.jpg"
        labels = {name: root / s.label_dir / f"{stem}.png" for name, s in folders.items()}
        usual: dict[str, Any] = {"raw_picture": picture, "picture": picture, "labels": labels}
        return Sample(stem, raw_label, **(usual | more))

    def product_folders(self, root: Path, split: str) -> list[Path]:
        """Folders that preparation fills, those of labels first."""
        splits = self.splits(split).values()
        folders = [root / folders.label_dir for folders in splits]
        return folders + [root / s.image_dir for s in splits if self.writes_pictures]

    def prepared(self, root: Path, split: str) -> Listing:
        """List the samples of a split from the prepared files alone."""
        stems: set[str] = set()
        for folders in self.splits(split).values():
            stems |= files_in(root / folders.label_dir, ".png").found.keys()
            if not self.shares_pictures:
                stems |= files_in(root / folders.image_dir, ".jpg").found.keys()
        return Listing(
            [
                self.sample(root, split, stem, raw_label=Path(), raw_picture=Path())
                for stem in sorted(stems)
            ]
        )
