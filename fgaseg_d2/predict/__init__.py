"""Pictures and words in, segmentations out."""

from .explanation import Explanation
from .predictor import OpenVocabPredictor
from .segmentation import Segmentation
from .segments import NamedSegment

__all__ = ["Explanation", "NamedSegment", "OpenVocabPredictor", "Segmentation"]
