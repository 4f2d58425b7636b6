"""Scores of predictions: counting, figures, files, and published figures beside them."""

from .evaluator import SegmentationEvaluator

__all__ = ["SegmentationEvaluator"]
