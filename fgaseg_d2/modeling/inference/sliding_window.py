"""The sliding-window protocol of this family of models, as pure functions.

A picture is squashed to a canvas and cut into overlapping windows; one more view shows the whole
picture. Letters: V windows, T classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]


def window_offsets(length: int, size: int, stride: int) -> list[int]:
    """Where windows begin along one axis, in pixels; the last one ends at the edge."""
    if length <= size:
        return [0]
    steps = -(-(length - size) // stride)
    return [min(step * stride, length - size) for step in range(steps + 1)]


def cut_views(image: Tensor, canvas: Size, size: Size, stride: Size) -> Tensor:
    """Cut a picture into the windows of its canvas, and the whole picture as the last view.

    Args:
        image: 3 x H x W.
        canvas: height and width, in pixels, that the picture is squashed to.
        size: height and width of a window, at most the canvas.
        stride: distance between windows.

    Returns:
        (V + 1) x 3 x size.
    """
    whole = image[None]
    board = F.interpolate(whole, canvas, mode="bilinear")
    windows = [
        board[:, :, y : y + size[0], x : x + size[1]]
        for y in window_offsets(canvas[0], size[0], stride[0])
        for x in window_offsets(canvas[1], size[1], stride[1])
    ]
    return torch.cat([*windows, F.interpolate(whole, size, mode="bilinear")])


def merge_views(scores: Tensor, canvas: Size, size: Size, stride: Size) -> Tensor:
    """Put the scores of the views back together: half the windows' mean, half the whole view.

    Args:
        scores: (V + 1) x T x size, in the order of `cut_views`.

    Returns:
        T x canvas.
    """
    *windows, whole = scores
    total = scores.new_zeros(scores.shape[1], *canvas)
    cover = scores.new_zeros(canvas)
    places = [
        (y, x)
        for y in window_offsets(canvas[0], size[0], stride[0])
        for x in window_offsets(canvas[1], size[1], stride[1])
    ]
    for window, (y, x) in zip(windows, places, strict=True):
        total[:, y : y + size[0], x : x + size[1]] += window
        cover[y : y + size[0], x : x + size[1]] += 1
    whole = F.interpolate(whole[None], canvas, mode="bilinear").squeeze(0)
    return (total / cover + whole) / 2
