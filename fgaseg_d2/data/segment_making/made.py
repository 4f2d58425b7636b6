"""What becomes of one picture on the way into a file of segments."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...io.segment_files import described_segment


@dataclass
class Made:
    """A record and what was not made into it.

    Attributes:
        record: of the file; None where the picture cannot be used.
        problems: one line for each annotation, or the picture, that cannot be used.
        left_out: how many segments by why, such as "crowds"; nothing is wrong with them.
    """

    record: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Wanted:
    """What the segments of a file are to be.

    Attributes:
        least: pixels of a segment, at least, 1 or more.
        level: "object" or "part".
    """

    least: int = 16
    level: str = "object"

    def segments(
        self, masks: Iterable[tuple[np.ndarray, Sequence[str]]], source: str, made: Made
    ) -> Iterator[dict[str, Any]]:
        """Describe masks H x W with their texts; small ones are left out and counted."""
        for mask, texts in masks:
            if np.count_nonzero(mask) < self.least:
                made.left_out[f"below {self.least} pixels"] += 1
                continue
            yield described_segment(mask, texts, source, self.level)


def name_within(path: str, folder: Path) -> str:
    """A picture's path as a file of segments has it: within the folder, or else absolute."""
    if "://" in path:
        return path
    absolute, root = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return (absolute.relative_to(root) if absolute.is_relative_to(root) else absolute).as_posix()
