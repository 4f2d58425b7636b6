"""Similarity of text and pixels."""

from torch import Tensor
from torch.nn import functional as F


def cosine_maps(text: Tensor, dense: Tensor) -> Tensor:
    """The cosine of every text embedding and every token.

    Args:
        text: B x T x C, or T x C for all images alike.
        dense: B x C x h x w.

    Returns:
        B x T x h x w in -1..1.
    """
    text, dense = F.normalize(text, dim=-1), F.normalize(dense, dim=1)
    return (text @ dense.flatten(2)).unflatten(2, dense.shape[2:])
