"""The sliding-window protocol of this family of models, as pure functions.

A picture is squashed to a canvas and cut into overlapping windows; one more view shows the whole
picture. Letters: V windows, T classes.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]
_CLASSES = 64  # resized at a time


def window_offsets(length: int, size: int, stride: int) -> list[int]:
    """Where windows begin along one axis, in pixels; the last one ends at the edge."""
    if length <= size:
        return [0]
    steps = -(-(length - size) // stride)
    return [min(step * stride, length - size) for step in range(steps + 1)]


def check_sizes(
    image_size: Sequence[int], patch: int, sliding_window: tuple[Size, Size, Size] | None
) -> None:
    """Raise a ValueError if CLIP's input size, or windows (canvas, size, stride), do not fit."""
    if len(image_size) != 2 or any(side < patch or side % patch for side in image_size):
        raise ValueError(
            "expected MODEL.CLIP.IMAGE_SIZE to be a height and a width in multiples of the patch "
            f"size {patch}, got {list(image_size)}."
        )
    if sliding_window is None:
        return
    canvas, size, stride = sliding_window
    if any(len(pair) != 2 for pair in sliding_window) or not all(
        1 <= step <= side <= whole for step, side, whole in zip(stride, size, canvas, strict=True)
    ):
        raise ValueError(
            "expected TEST.SLIDING_WINDOW with pairs 1 <= STRIDE <= SIZE <= CANVAS, got STRIDE "
            f"{list(stride)}, SIZE {list(size)}, CANVAS {list(canvas)}."
        )


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


def merge_views(views: Iterable[Tensor], canvas: Size, size: Size, stride: Size) -> Tensor:
    """Put the scores of the views back together: half the windows' mean, half the whole view.

    Args:
        views: V + 1 maps of T x size, in the order of `cut_views`; taken one after the other, so
            that they need not all be in memory.

    Returns:
        T x canvas.
    """
    views = iter(views)
    total = cover = None
    for y in window_offsets(canvas[0], size[0], stride[0]):
        for x in window_offsets(canvas[1], size[1], stride[1]):
            window = next(views)
            if total is None:
                total = window.new_zeros(window.shape[0], *canvas)
                cover = window.new_zeros(canvas)
            total[:, y : y + size[0], x : x + size[1]] += window
            cover[y : y + size[0], x : x + size[1]] += 1
    total /= cover
    whole = next(views)
    # In place and class by class: at this size the scores of many classes fill gigabytes.
    for start in range(0, len(total), _CLASSES):
        part = whole[None, start : start + _CLASSES]
        total[start : start + _CLASSES] += F.interpolate(part, canvas, mode="bilinear").squeeze(0)
    return total.div_(2)


def merge_token_maps(views: Tensor, canvas: Size, size: Size, stride: Size) -> Tensor:
    """Put maps on the views' token grids together, weighted as `merge_views` weighs scores.

    Args:
        views: (V + 1) x T x h x w, in the order of `cut_views`; NaN where a view has no map, which
            then has no weight.

    Returns:
        T x h' x w', in tokens of the same size in pixels, NaN where no view has a map.
    """
    grid = tuple(round(canvas[axis] * views.shape[2 + axis] / size[axis]) for axis in (0, 1))

    def merge(maps: Tensor) -> Tensor:
        resized = (F.interpolate(view[None], size, mode="bilinear")[0] for view in maps)
        merged = merge_views(resized, canvas, size, stride)
        return F.interpolate(merged[None], grid, mode="area")[0]

    return torch.cat(
        [
            merge(part.nan_to_num()) / merge((~part.isnan()).to(part))
            for part in views.split(_CLASSES, dim=1)
        ]
    )


def scaled(size: Size, scale: float, multiple: int = 1, least: Size = (1, 1)) -> Size:
    """Height and width times a factor, rounded to a multiple, and at least so much."""
    height, width = (
        max(least[axis], round(size[axis] * scale / multiple) * multiple) for axis in (0, 1)
    )
    return height, width
