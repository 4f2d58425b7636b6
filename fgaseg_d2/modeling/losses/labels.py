"""Label maps as the losses need them.

Letters: B images, T classes, H W size of the labels.
"""

from collections.abc import Collection, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Entry = TypeVar("Entry")


def one_hot(targets: Tensor, classes: int, ignore_value: int) -> Tensor:
    """B x H x W -> B x classes x H x W, float32, ignored pixels 0 for every class."""
    labels = torch.arange(classes, device=targets.device)[:, None, None]
    valid = (targets != ignore_value)[:, None]
    return ((targets[:, None] == labels) & valid).float()


def sample_classes(
    entries: Sequence[Entry], targets: Tensor, limit: int, ignore_value: int
) -> tuple[Sequence[Entry], Tensor]:
    """Leave the classes of the batch and random others, and renumber the targets.

    Args:
        entries: T classes.
        targets: B x H x W, class numbers or the ignore value.
        limit: classes to leave; with fewer all stay.
        ignore_value: of pixels without a class.

    Returns:
        At most `limit` entries, and targets that count in them; a class that is left out has
        become the ignore value.
    """
    total = len(entries)
    if total <= limit:
        return entries, targets
    valid = targets != ignore_value
    present = torch.bincount(targets[valid], minlength=total).cpu() > 0
    chosen = (torch.rand(total) + present).topk(limit).indices.sort().values
    return keep_classes(entries, targets, chosen.tolist(), ignore_value)


def seen_classes(
    classes: Sequence[tuple[str, ...]], targets: Tensor, unseen: Collection[str], ignore_value: int
) -> tuple[Sequence[tuple[str, ...]], Tensor]:
    """Leave what training may see.

    Args:
        classes: names of each of the T classes.
        targets: B x H x W, class numbers or the ignore value.
        unseen: first names of classes to leave out.
        ignore_value: of pixels without a class.

    Returns:
        The other classes, and targets that count in them; what is left out has become the ignore
        value.

    Raises:
        ValueError: no class is left.
    """
    chosen = [index for index, names in enumerate(classes) if names[0] not in unseen]
    if not chosen:
        raise ValueError(
            f"expected a seen class to train on, got none among {len(classes)}; train on a dataset "
            "that has others than the unseen ones."
        )
    if len(chosen) == len(classes):
        return classes, targets
    return keep_classes(classes, targets, chosen, ignore_value)


def keep_classes(
    entries: Sequence[Entry], targets: Tensor, chosen: Sequence[int], ignore_value: int
) -> tuple[Sequence[Entry], Tensor]:
    """Leave some classes, and renumber the targets.

    Args:
        entries: T classes.
        targets: B x H x W, class numbers or the ignore value.
        chosen: the classes to leave, ascending.
        ignore_value: of pixels without a class.

    Returns:
        The classes chosen, and targets that count in them; any other class has become the ignore
        value.
    """
    number = torch.full((len(entries),), ignore_value)
    number[list(chosen)] = torch.arange(len(chosen))
    renumbered = number.to(targets.device)[targets.clamp(max=len(entries) - 1)]
    targets = torch.where(targets != ignore_value, renumbered, targets)
    return tuple(entries[index] for index in chosen), targets
