"""Scores of predictions: counting, figures, files, and published figures beside them."""

from fgaseg_d2.evaluation.evaluator import SegmentationEvaluator

__all__ = ["SegmentationEvaluator"]
