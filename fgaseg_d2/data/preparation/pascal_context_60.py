"""PASCAL-Context with background: the 59 classes, and class 0 for all else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from ...vocabulary.parsing import read_benchmark
from .pascal_context_59 import LAST_LABEL, UNLABELLED, PascalContext59
from .value_table import ValueTable


class PascalContext60(PascalContext59):
    """The regions of trainval_merged.json."""

    name = "pascal_context_60"
    benchmarks = ("pascal_context_60",)

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """What is ignored in PC-59 is class 0; no pixel is ignored."""
        classes = read_benchmark("pascal_context_59")["raw_values"]
        others = [value for value in range(LAST_LABEL + 1) if value not in classes]
        table = ValueTable([UNLABELLED, *classes], [], 255, background=others)
        return {"pascal_context_60": table}
