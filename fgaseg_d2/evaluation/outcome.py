"""What the evaluation of a test set came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The figures of single classes, as Detectron2's SemSegEvaluator calls them.
IOU, ACCURACY, BOUNDARY_IOU, LESSER_IOU = "IoU", "ACC", "BoundaryIoU", "min(IoU, B-Iou)"


def class_key(figure: str, name: str) -> str:
    """What a figure of a class is called among the results, as by SemSegEvaluator: "IoU-cat"."""
    return f"{figure}-{name}"


def class_keys(classes: Iterable[str]) -> set[str]:
    """What all figures of these classes may be called among the results of an evaluator."""
    figures = (IOU, ACCURACY, BOUNDARY_IOU, LESSER_IOU)
    return {class_key(figure, name) for name in classes for figure in figures}


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
        of_classes: names of the results that are figures of a single class.
    """

    dataset: str
    results: Mapping[str, float]
    pictures: int | None = None
    expected: int | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    per_class: Sequence[Mapping[str, Any]] = ()
    cost: Mapping[str, float | None] = field(default_factory=dict)
    of_classes: Sequence[str] = ()

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Evaluation:
        """Take what a file says: the attributes by name, in plain types.

        Raises:
            TypeError: an attribute is missing, or one is unknown.
        """
        if "of_classes" in content:
            return cls(**content)
        # Files of 0.1 name the classes in their rows alone.
        keys = class_keys(row["class"] for row in content.get("per_class", ()))
        return cls(**content, of_classes=[key for key in content.get("results", ()) if key in keys])

    @property
    def summary(self) -> dict[str, float]:
        """The figures over all classes, without those of single ones."""
        single = set(self.of_classes)
        return {name: value for name, value in self.results.items() if name not in single}
