"""Scores of a vocabulary's entries -> scores of its classes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ScoreFunction = Callable[[Tensor], Tensor]


def softmax_scores(logits: Tensor) -> Tensor:
    """Probabilities of entries that exclude each other: T x h x w -> T x h x w."""
    return logits.softmax(0)


SCORE_FUNCTIONS: dict[str, ScoreFunction] = {"sigmoid": torch.sigmoid, "softmax": softmax_scores}


def reduce_entries(scores: Tensor, entry_classes: Sequence[int], classes: int) -> Tensor:
    """Give each class the best score of its entries (synonyms, background words).

    Args:
        scores: E x H x W, probabilities.
        entry_classes: the class, 0 ... classes - 1, of each of the E entries.
        classes: number of classes, "background" (the last one) included where there is one.

    Returns:
        classes x H x W.
    """
    if tuple(entry_classes) != tuple(range(classes)):
        index = torch.tensor(entry_classes, device=scores.device)[:, None, None].expand_as(scores)
        # A background without words has no entry: its score is the threshold alone.
        reduced = scores.new_zeros(classes, *scores.shape[1:])
        scores = reduced.scatter_reduce(0, index, scores, "amax", include_self=True)
    return scores


def with_threshold(scores: Tensor, background: float) -> Tensor:
    """Let background win where no class reaches a threshold.

    Args:
        scores: classes x H x W.
        background: with a value above 0 the last class scores at least this.
    """
    if background <= 0:
        return scores
    return torch.cat((scores[:-1], scores[-1:].clamp(min=background)))
