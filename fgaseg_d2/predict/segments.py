"""A segment of a picture with what it is: a result of :meth:`OpenVocabPredictor.segments`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..io.coco_masks import mask_box
from ..modeling.proposals import given_masks


@dataclass(frozen=True, eq=False)
class NamedSegment:
    """A segment and the words that suit it.

    Args:
        mask: H x W, bool, at the size of the picture.
        scores: probability of each word, in 0..1, by name, the best first.
    """

    mask: np.ndarray
    scores: Mapping[str, float]

    @property
    def name(self) -> str:
        """The best word."""
        return next(iter(self.scores))

    @property
    def score(self) -> float:
        """Its probability."""
        return self.scores[self.name]

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.mask.sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels; right and bottom lie behind the last pixel."""
        left, top, width, height = mask_box(self.mask)
        return left, top, left + width, top + height

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}: {self.score:.2f}, {self.area} pixels)"


def named_segments(
    output: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> list[NamedSegment]:
    """What a model said of segments, at the picture's size, in its order.

    Args:
        output: "segments" M x h x w and "segment_scores" M x K of a model.
        names: of the K classes; of two with one name the better score counts.
        size: height and width of the picture.
    """
    found = []
    for mask, scores in zip(output["segments"], output["segment_scores"], strict=True):
        by_name: dict[str, float] = {}
        for index in scores.argsort(descending=True).tolist():
            by_name.setdefault(names[index], scores[index].item())
        found.append(NamedSegment(_resized(mask.cpu().numpy(), size), by_name))
    return found


def checked_masks(masks: Any) -> Tensor:
    """Masks that somebody gives, M x H x W, bool; what `given_masks` takes.

    Raises:
        ValueError: something else, or an empty mask.
    """
    found = given_masks(masks)
    empty = found.flatten(1).any(1).logical_not().nonzero().squeeze(1).tolist()
    if empty:
        raise ValueError(
            f"expected masks with a pixel or more, got {len(empty)} without, such as number "
            f"{empty[0]}; leave them out"
        )
    return found


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The nearest pixel's value: h x w -> size."""
    rows, columns = (
        (np.arange(wanted) * 2 + 1) * given // (2 * wanted)
        for wanted, given in zip(size, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns]
