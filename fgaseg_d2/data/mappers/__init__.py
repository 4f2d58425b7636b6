"""From a dataset's record to what a model takes, one file a kind of sample."""

from .captioned import CaptionMapper
from .labelled import SemanticMapper
from .segmented import SegmentMapper

__all__ = ["CaptionMapper", "SegmentMapper", "SemanticMapper"]
