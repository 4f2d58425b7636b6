"""Contrastive losses over the pairs of a batch, gathered over the processes of a training.

Letters: B pairs of this process, A pairs of all processes, n embeddings of a picture, C channels.
"""

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F


def world_size() -> int:
    """Processes of the training, 1 without others."""
    return dist.get_world_size() if dist.is_initialized() else 1


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    """All processes' tensors; going back, each gets the gradients of all for its own.

    `torch.distributed.nn.functional.all_gather` does so too, but is deprecated.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(world_size())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[_rank()]


def gathered(x: Tensor) -> Tensor:
    """Tensors of all processes, B x ... -> A x ..., with gradients; all have the same B."""
    return x if world_size() == 1 else _Gather.apply(x.contiguous())


def gathered_rows(x: Tensor) -> Tensor:
    """As `gathered`, where the processes may have different numbers of rows, or none."""
    if world_size() == 1:
        return x
    counts = gathered(torch.tensor([len(x)], device=x.device)).tolist()
    longest = max(1, *counts)  # a length of 0 cannot be split by
    padded = torch.cat((x, x.new_zeros(longest - len(x), *x.shape[1:])))
    parts = gathered(padded).split(longest)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def positions_of_own(x: Tensor) -> Tensor:
    """Where this process's B rows are among those of all processes, as `gathered` lays them: B."""
    first = _rank() * len(x)
    return torch.arange(first, first + len(x), device=x.device)


def sum_over_ranks(count: Tensor) -> Tensor:
    """The sum of a number over all processes, without gradient."""
    count = count.detach().clone()
    if world_size() > 1:
        dist.all_reduce(count)
    return count


def pooled_similarity(
    pictures: Tensor, texts: Tensor, scale: Tensor | float, sharpness: float = 1.0
) -> Tensor:
    """Similarity of pictures and texts: a smooth maximum over a picture's embeddings.

    With one embedding a picture it is the scaled cosine. With several, log-mean-exp: the sharper,
    the more the best embedding decides, so that a text need fit one place and not all.

    Args:
        pictures: P x n x C, unit norm.
        texts: T x C, unit norm.
        scale: of the cosines, above 0.
        sharpness: above 0; the result lies between the mean and the largest of the scaled cosines.

    Returns:
        P x T.

    Source: log-sum-exp pooling of Pinheiro and Collobert, "From Image-level to Pixel-level Labeling
    with Convolutional Networks", CVPR 2015 (arXiv 1411.6228).
    """
    cosines = torch.einsum("pnc,tc->ptn", pictures, texts)
    smooth = (sharpness * scale * cosines).logsumexp(-1) - math.log(pictures.shape[1])
    return smooth / sharpness


def contrastive_loss(
    pictures: Tensor, texts: Tensor, scale: Tensor, sharpness: float = 1.0
) -> Tensor:
    """CLIP's loss, both directions, against the pairs of all processes.

    Args:
        pictures: B x n x C, unit norm.
        texts: B x C, unit norm, of the pictures in their order.
        scale: of the cosines.
        sharpness: see `pooled_similarity`.

    Returns:
        The mean over the pairs of this process; its mean over processes, and the gradient of that,
        are those of one process with all pairs.
    """
    own = positions_of_own(texts)
    to_texts = pooled_similarity(pictures, gathered(texts), scale, sharpness)
    to_pictures = pooled_similarity(gathered(pictures), texts, scale, sharpness).T
    return (F.cross_entropy(to_texts, own) + F.cross_entropy(to_pictures, own)) / 2
