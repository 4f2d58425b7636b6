"""What cannot be used of shards: which sample or shard, why, and how much of it is too much."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...wording import few, plain, shown

# Share of a dataset's samples.
MOST_BROKEN = 0.01
_SHOWN = 2  # in an error
_LISTED = 10  # in a warning of what was found before the training

logger = logging.getLogger(__name__)


class BrokenPictureError(ValueError):
    """A picture of a shard cannot be decoded.

    Args:
        message: which, and why.
        reason: why, in a few words.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class Broken(NamedTuple):
    """A sample, or a shard, that cannot be used.

    Attributes:
        shard: path of the tar file.
        key: of the sample; "" for the shard itself, or its rest.
        reason: in words.
    """

    shard: str
    key: str
    reason: str

    def __str__(self) -> str:
        return self.line(self.shard)

    def line(self, shard: str) -> str:
        """What is broken, with another name for the shard."""
        return f"{plain(shard)}: {plain(self.key)}: {self.reason}".replace(": : ", ": ")


class BrokenPart(NamedTuple):
    """How much of a dataset is broken.

    Attributes:
        broken: samples, or what is left of shards, by name.
        lost: samples that damaged shards had besides, as the other shards have them; estimated.
        total: of all samples, those that are broken or lost included.
    """

    broken: Sequence[Broken]
    lost: int
    total: int

    @property
    def number(self) -> int:
        """Samples that are broken or lost."""
        return sum(bool(one.key) for one in self.broken) + self.lost

    @property
    def too_many(self) -> bool:
        """Whether they are more than :data:`MOST_BROKEN`."""
        return self.number > MOST_BROKEN * self.total

    def text(self, limit: int = _SHOWN) -> str:
        """How many there are, and the first of them by name."""
        share = self.number / max(1, self.total)
        about = "about " if self.lost else ""
        # With the folder that it lies in a name is known in a run, and short.
        lines = (one.line("/".join(Path(one.shard).parts[-2:])) for one in self.broken)
        text = f"{about}{self.number:,} of {self.total:,} samples ({share:.1%}) cannot be used"
        return f"{text}: {few(lines, limit)}" if limit else text

    def error(self) -> ValueError:
        """What is said where they are too many."""
        return ValueError(
            f"expected at most {MOST_BROKEN:.0%} broken samples, but {self.text()}; all are named "
            "by tools/check_shards.py: make these shards anew, or leave them out"
        )


class BrokenTally:
    """Counts over a training what is broken in its datasets; too much of it ends the training."""

    def __init__(self) -> None:
        self._parts: dict[str, BrokenPart] = {}
        self._found: dict[str, dict[Broken, None]] = {}
        self._numbers: dict[str, int] = {}

    def begin(self, dataset_name: str, part: BrokenPart) -> None:
        """Add a dataset with what its index says; warn of that.

        Raises:
            ValueError: too many samples are broken.
        """
        self._parts[dataset_name], self._found[dataset_name] = part, {}
        self._numbers[dataset_name] = part.number
        self._check(dataset_name)
        if part.broken:
            logger.warning("%s: %s; they are passed over", dataset_name, part.text(_LISTED))

    def add(self, found: Iterable[tuple[str, Broken]]) -> None:
        """Add samples that were found broken as they were read; warn of each once.

        Args:
            found: name of the dataset, and sample.

        Raises:
            ValueError: too many samples are broken.
        """
        for name, broken in sorted(found):
            if broken not in self._found[name]:
                self._found[name][broken] = None
                self._numbers[name] += 1
                logger.warning(
                    "%s: passed over %s (%d broken so far)", *(name, broken, self._numbers[name])
                )
                self._check(name)

    def known(self, dataset_name: str) -> BrokenPart:
        """What is known to be broken in a dataset by now."""
        part = self._parts[dataset_name]
        return part._replace(broken=(*self._found[dataset_name], *part.broken))

    def _check(self, name: str) -> None:
        if self._numbers[name] > MOST_BROKEN * self._parts[name].total:
            raise ValueError(f"dataset {shown(name)}: {self.known(name).error()}")
