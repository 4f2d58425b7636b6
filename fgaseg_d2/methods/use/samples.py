"""Segments and texts of a training sample.

Letters: M segments, H W their size in pixels.
"""

from __future__ import annotations

import random
from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional as F

from ...modeling.samples import Sample
from ...vocabulary import Vocabulary


def drawn_segments(
    item: Sample, words: Vocabulary | None, unseen: Collection[str], ignore_value: int
) -> tuple[Tensor, list[str]]:
    """The segments of a sample and a text for each.

    Of a sample with "sem_seg" the pixels of each class are one segment, and a name of the class,
    drawn at random, is its text.

    Args:
        item: with "segments" and "texts", or with "sem_seg".
        words: of a sample with "sem_seg".
        unseen: first names of classes that are left out.
        ignore_value: label of pixels without a class.

    Returns:
        Masks M x H x W, bool, and M texts.
    """
    if "segments" in item:
        return item["segments"].bool(), list(item["texts"])
    assert words is not None
    labels = item["sem_seg"]
    masks, texts = [], []
    for value in labels.unique().tolist():
        names = () if value == ignore_value else words.classes[value]
        if names and names[0] not in unseen:
            masks.append(labels == value)
            texts.append(random.choice(names))
    if not masks:
        return torch.zeros(0, *labels.shape, dtype=torch.bool, device=labels.device), []
    return torch.stack(masks), texts


def without_empty(masks: Tensor, texts: list[str]) -> tuple[Tensor, list[str]]:
    """Those of the segments that have a pixel, with their texts."""
    left = masks.flatten(1).any(1).nonzero().squeeze(1)
    return masks[left], [texts[index] for index in left.tolist()]


def some_of(masks: Tensor, texts: list[str], most: int) -> tuple[Tensor, list[str]]:
    """At most so many of the segments, drawn at random, in their order."""
    if len(masks) <= most:
        return masks, texts
    chosen = sorted(random.sample(range(len(masks)), most))
    return masks[chosen], [texts[index] for index in chosen]


def inherited(pieces: Tensor, masks: Tensor, texts: list[str]) -> tuple[Tensor, list[str]]:
    """Pieces of segments, each with the text of its segment.

    Args:
        pieces: P x H x W, bool.
        masks: M x H x W, bool, of the segments; of another size they are resized, nearest.
        texts: M, of the segments.

    Returns:
        Those of the pieces that a segment covers by more than half, with their texts.
    """
    if not len(masks):
        return pieces[:0], []
    if masks.shape[1:] != pieces.shape[1:]:
        masks = F.interpolate(masks[None].float(), pieces.shape[1:], mode="nearest")[0].bool()
    areas = pieces.flatten(1).float()
    best, owners = (areas @ masks.flatten(1).float().T).max(1)
    kept = (2 * best > areas.sum(1)).nonzero().squeeze(1)
    return pieces[kept], [texts[owner] for owner in owners[kept].tolist()]
