"""Reads every sample of shards, to find before the training what it would pass over."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...parallel import each
from ..problem_lines import SHOWN, problem_lines
from .broken import MOST_BROKEN, BrokenPart, BrokenPictureError
from .index import ShardIndex, index_shard
from .records import ShardRecords, broken_part_of, read_member

_GIBIBYTE, _KIBIBYTE = 2**30, 2**10


@dataclass(frozen=True)
class _Findings:
    """What is in one shard; `index` is of the samples that can be used."""

    index: ShardIndex
    sizes: np.ndarray
    words: np.ndarray


class ShardReport(NamedTuple):
    """What is in a number of shards.

    Attributes:
        name: of the dataset, or what somebody wrote for it.
        shards: how many there are.
        broken_part: what is broken.
        damaged: shards of which a part or all cannot be read.
        sizes: n x 2, height and width in pixels of each picture that can be decoded.
        bytes: of the pictures' files.
        words: n, how many each caption has.
        seconds: that it took to read them all.
    """

    name: str
    shards: int
    broken_part: BrokenPart
    damaged: int
    sizes: np.ndarray
    bytes: int
    words: np.ndarray
    seconds: float

    @property
    def problems(self) -> list[str]:
        """A line for all that is broken; none where a training passes it over."""
        return [str(one) for one in self.broken_part.broken if self.failed]

    @property
    def failed(self) -> bool:
        """Whether more is broken than a training passes over, or a shard is damaged."""
        return self.broken_part.too_many or self.damaged > 0

    def text(self, limit: int | None = SHOWN) -> str:
        """The report for people.

        Args:
            limit: most lines of what is broken; None for all.
        """
        whole, part = len(self.sizes), self.broken_part
        lines = [f"{self.name}: {self.shards:,} shards, {part.total:,} samples, {whole:,} whole"]
        if whole:
            sides, texts = self.sizes.min(axis=1), self.words
            lines += [
                f"  pictures: shorter side {sides.min()} to {sides.max()} pixels, half of them "
                f"{int(np.median(sides))} or more; {self.bytes / _GIBIBYTE:.2f} GiB, "
                f"{self.bytes / whole / _KIBIBYTE:.1f} KiB each",
                f"  captions: {texts.min()} to {texts.max()} words, {texts.mean():.1f} on average",
            ]
        rate = whole / max(self.seconds, 1e-9)
        lines.append(f"  read in {self.seconds:.1f} s, {rate:,.0f} pictures a second")
        number = f"{'about ' if part.lost else ''}{part.number:,}"
        lines.append(
            f"  broken: {number} of {part.total:,} samples "
            f"({part.number / max(1, part.total):.2%}; more than {MOST_BROKEN:.0%} is an "
            f"error), {self.damaged:,} damaged shards"
        )
        reasons = Counter(one.reason.partition(" (")[0] for one in part.broken if one.key)
        lines += [f"    {count:,} with {reason}" for reason, count in reasons.most_common()]
        word = "error" if self.failed else "warning"
        lines += problem_lines(part.broken, limit, unit="problems", word=word)
        return "\n".join(lines) + "\n"


def check_shards(name: str, shards: Sequence[Path], workers: int | None = None) -> ShardReport:
    """Read every sample of shards, and show progress on standard error.

    Args:
        name: for the report.
        shards: paths of tar files, at least one.
        workers: processes; None for as many as there are processors.

    Raises:
        ReadError: a shard may not be read; a damaged one is no error.
        ImportError: webdataset is not installed.
    """
    start = time.perf_counter()
    found = list(each(_read_all, shards, workers, name, "shard"))
    indices = [part.index for part in found]
    return ShardReport(
        name=name,
        shards=len(shards),
        broken_part=broken_part_of([os.fspath(path) for path in shards], indices),
        damaged=sum(bool(index.damage) for index in indices),
        sizes=np.concatenate([part.sizes for part in found]),
        bytes=sum(int(index.places[:, 1].sum()) for index in indices),
        words=np.concatenate([part.words for part in found]),
        seconds=time.perf_counter() - start,
    )


def _read_all(shard: Path) -> _Findings:
    index = index_shard(shard)
    records = ShardRecords([shard], [index])
    sizes, words, good = [], [], []
    broken = list(index.broken)
    for position, record in enumerate(records):
        try:
            picture, _ = read_member(record["member"], record["file_name"])
        except BrokenPictureError as error:
            broken.append(records.broken(position, error.reason))
            continue
        good.append(position)
        sizes.append(picture.shape[:2])
        words.append(len(record["captions"][0].split()))
    # Names are no longer needed, and would have to reach another process.
    left = index._replace(places=index.places[good], broken=tuple(broken), names=index.names[:0])
    return _Findings(left, np.array(sizes, np.int32).reshape(-1, 2), np.array(words, np.int32))
