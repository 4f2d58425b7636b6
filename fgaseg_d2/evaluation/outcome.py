"""What the evaluation of a test set came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# What SemSegEvaluator puts before the name of a class.
_OF_A_CLASS = ("IoU-", "ACC-", "BoundaryIoU-", "min(IoU, B-Iou)-")


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation of one test set came to.

    Attributes:
        dataset: name of the test set.
        results: figures in percent by name, NaN for none.
        pictures: how many were scored; None where the evaluator does not say.
        expected: how many the test set has.
        run: how the predictions were made, in plain types; test sets of equal runs share a table.
        per_class: one row a class; empty where the evaluator does not say.
        cost: parameters of the model and its seconds a picture; empty where that is not known.
    """

    dataset: str
    results: Mapping[str, float]
    pictures: int | None = None
    expected: int | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    per_class: Sequence[Mapping[str, Any]] = ()
    cost: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def summary(self) -> dict[str, float]:
        """The figures over all classes, without Detectron2's "IoU-cat" of single ones."""
        return {
            name: value for name, value in self.results.items() if not name.startswith(_OF_A_CLASS)
        }
