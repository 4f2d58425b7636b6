"""Pictures and words in, segmentations out."""

from .explanation import Explanation
from .predictor import OpenVocabPredictor
from .segmentation import Segmentation

__all__ = ["Explanation", "OpenVocabPredictor", "Segmentation"]
