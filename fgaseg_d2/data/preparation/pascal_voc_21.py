"""PASCAL VOC 2012 with background: class 0 where PAS-20 ignores, borders alone are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from .pascal_voc import PascalVoc
from .value_table import ValueTable

_CLASSES, _BORDER = range(21), 255


class PascalVoc21(PascalVoc):
    """SegmentationClass as it is, without the palette."""

    name = "pascal_voc_21"
    benchmarks = ("pascal_voc_21",)

    @cached_property
    def tables(self) -> Mapping[str, ValueTable]:
        """The palette's index is the class."""
        return {"pascal_voc_21": ValueTable(_CLASSES, [_BORDER], 255)}
