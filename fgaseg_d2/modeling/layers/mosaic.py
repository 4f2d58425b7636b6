"""Pictures beside and below each other, which a tower sees as one.

Letters: B pictures, s of them a side, C channels, h w of one picture.
"""

from __future__ import annotations

from torch import Tensor


def laid_out(pictures: Tensor, side: int) -> Tensor:
    """Lay pictures beside and below each other: B x C x h x w -> B/s^2 x C x s h x s w.

    Args:
        pictures: in the order of rows, a mosaic after the other.
        side: s; its square divides B.
    """
    pictures = pictures.unflatten(0, (-1, side, side)).permute((0, 3, 1, 4, 2, 5))
    return pictures.flatten(4).flatten(2, 3)


def taken_apart(mosaics: Tensor, side: int) -> Tensor:
    """The inverse of `laid_out`: B/s^2 x C x s h x s w -> B x C x h x w."""
    height, width = (length // side for length in mosaics.shape[2:])
    parts = mosaics.unflatten(3, (side, width)).unflatten(2, (side, height))
    return parts.permute((0, 2, 4, 1, 3, 5)).flatten(0, 2)


def check_mosaic(pictures: int, side: int, key: str) -> None:
    """See that the pictures of a process fill their mosaics.

    Args:
        pictures: B.
        side: s.
        key: the configuration's key of s, for the message.

    Raises:
        ValueError: they do not.
    """
    if pictures % side**2:
        raise ValueError(
            f"expected {key} {side} squared to divide the pictures of a process, got {pictures}; "
            "change the batch to fit"
        )
