"""How a picture is looked at: protocols cut it into views and merge what the model says of them.

Letters: V views, T entries, h w a view's own resolution of scores or tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from .geometry import WHOLE, Box, Size, scaled, window_offsets

_CLASSES = 64  # resized at a time


class ViewProtocol(Protocol):
    """How pictures of any size are looked at."""

    def scaled(self, scale: float) -> ViewProtocol:
        """The same protocol at another resolution: sizes times a factor."""

    def for_picture(self, size: Size) -> PictureViews:
        """How pictures of this height and width are looked at."""


class PictureViews(Protocol):
    """From a picture to views, and from the views' maps back to the picture."""

    def views(self, image: Tensor) -> Tensor:
        """Picture 3 x H x W, normalised -> V x 3 x the model's input size."""

    def merge(self, maps: Iterable[Tensor]) -> Tensor:
        """Scores of the V views, each T x h x w, one after the other -> T x H' x W'."""

    def align(self, logits: Tensor) -> Tensor:
        """Logits T x h x w of one view -> at the size at which `merge` takes their scores."""

    def merge_tokens(self, maps: Tensor) -> Tensor:
        """Maps on the views' token grids, V x T x h x w, NaN where there is none -> T x h' x w'."""

    def boxes(self) -> list[Box]:
        """What each of the V views shows, in fractions of the picture's width and height."""


@dataclasses.dataclass(frozen=True)
class Whole:
    """Looks at the picture once, squashed to the model's input size.

    Args:
        image_size: height and width in pixels, multiples of `multiple`.
        multiple: the tower's patch size.
    """

    image_size: Size
    multiple: int

    def scaled(self, scale: float) -> Whole:
        """See `ViewProtocol`; the size stays a multiple of the patch, of one patch at least."""
        patch = self.multiple
        size = scaled(self.image_size, scale, patch, (patch, patch))
        return dataclasses.replace(self, image_size=size)

    def for_picture(self, size: Size) -> Whole:
        """See `ViewProtocol`: the same for all."""
        return self

    def views(self, image: Tensor) -> Tensor:
        """See `PictureViews`: one view."""
        return F.interpolate(image[None], self.image_size, mode="bilinear")

    def align(self, logits: Tensor) -> Tensor:
        """See `PictureViews`: as they are."""
        return logits

    def merge(self, maps: Iterable[Tensor]) -> Tensor:
        """See `PictureViews`: the only map."""
        (only,) = maps
        return only

    def merge_tokens(self, maps: Tensor) -> Tensor:
        """See `PictureViews`: the only map."""
        return maps[0]

    def boxes(self) -> list[Box]:
        """See `PictureViews`: all of it."""
        return [WHOLE]


@dataclasses.dataclass(frozen=True)
class Windows:
    """Overlapping windows of a picture that is resized to a canvas; a score is their mean.

    Args:
        canvas: height and width, in pixels, that the picture is resized to.
        window: height and width of a window, at most the canvas.
        stride: distance between windows.
        image_size: the model's input size, which each view is resized to.
    """

    canvas: Size
    window: Size
    stride: Size
    image_size: Size

    def scaled(self, scale: float) -> Windows:
        """See `ViewProtocol`: the canvas grows or shrinks, to one window at least."""
        return dataclasses.replace(self, canvas=scaled(self.canvas, scale, least=self.window))

    def for_picture(self, size: Size) -> Windows:
        """See `ViewProtocol`: the same for all."""
        return self

    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each window, in the order of the views."""
        return [
            (top, left)
            for top in window_offsets(self.canvas[0], self.window[0], self.stride[0])
            for left in window_offsets(self.canvas[1], self.window[1], self.stride[1])
        ]

    def crops(self, image: Tensor) -> list[Tensor]:
        """The windows of a picture 3 x H x W, each 1 x 3 x the window's size."""
        height, width = self.window
        board = F.interpolate(image[None], self.canvas, mode="bilinear")
        return [board[:, :, y : y + height, x : x + width] for y, x in self.corners()]

    def views(self, image: Tensor) -> Tensor:
        """See `PictureViews`."""
        return F.interpolate(torch.cat(self.crops(image)), self.image_size, mode="bilinear")

    def align(self, logits: Tensor) -> Tensor:
        """See `PictureViews`: at the window's size."""
        return F.interpolate(logits[None], self.window, mode="bilinear")[0]

    def merge(self, maps: Iterable[Tensor]) -> Tensor:
        """See `PictureViews`; maps are taken one by one and need not all be in memory."""
        height, width = self.window
        for index, ((y, x), view) in enumerate(zip(self.corners(), maps, strict=False)):
            if index == 0:
                total = view.new_zeros(view.shape[0], *self.canvas)
                cover = view.new_zeros(self.canvas)
            total[:, y : y + height, x : x + width] += view
            cover[y : y + height, x : x + width] += 1
        total /= cover
        return total

    def merge_tokens(self, maps: Tensor) -> Tensor:
        """See `PictureViews`; weighted as scores are, a view without a map has no weight."""
        grid = (
            round(self.canvas[0] * maps.shape[2] / self.window[0]),
            round(self.canvas[1] * maps.shape[3] / self.window[1]),
        )

        def merge(part: Tensor) -> Tensor:
            merged = self.merge(self.align(view) for view in part)
            return F.interpolate(merged[None], grid, mode="area")[0]

        return torch.cat(
            [
                merge(part.nan_to_num()) / merge((~part.isnan()).to(part))
                for part in maps.split(_CLASSES, dim=1)
            ]
        )

    def boxes(self) -> list[Box]:
        """See `PictureViews`."""
        (height, width), (down, across) = self.canvas, self.window
        return [
            (left / width, top / height, (left + across) / width, (top + down) / height)
            for top, left in self.corners()
        ]


@dataclasses.dataclass(frozen=True)
class CanvasWindows(Windows):
    """This family's sliding window: a picture squashed to the canvas, and seen once as a whole.

    Half of a score is the windows' mean, half the whole view's, which is the last.
    """

    def views(self, image: Tensor) -> Tensor:
        """See `PictureViews`."""
        whole = F.interpolate(image[None], self.window, mode="bilinear")
        views = torch.cat([*self.crops(image), whole])
        return F.interpolate(views, self.image_size, mode="bilinear")

    def merge(self, maps: Iterable[Tensor]) -> Tensor:
        """See `PictureViews`; maps are taken one by one and need not all be in memory."""
        views = iter(maps)
        total = super().merge(islice(views, len(self.corners())))
        whole = next(views)
        # In place and class by class: at this size the scores of many classes fill gigabytes.
        for start in range(0, len(total), _CLASSES):
            part = whole[None, start : start + _CLASSES]
            total[start : start + _CLASSES] += F.interpolate(
                part, self.canvas, mode="bilinear"
            ).squeeze(0)
        return total.div_(2)

    def boxes(self) -> list[Box]:
        """See `PictureViews`; the last view is the whole picture."""
        return [*super().boxes(), WHOLE]


@dataclasses.dataclass(frozen=True)
class Slide:
    """Windows alone, of a picture that keeps its shape (as in mmsegmentation's "slide").

    Args:
        short: its shorter side in pixels.
        longest: its longer side at most, for which the shorter one yields.
        window: height and width of a window; where the picture is smaller, so is the window.
        stride: distance between windows.
        image_size: the model's input size.
    """

    short: int
    longest: int
    window: Size
    stride: Size
    image_size: Size

    def scaled(self, scale: float) -> Slide:
        """See `ViewProtocol`: the sides grow or shrink."""
        short, longest = scaled((self.short, self.longest), scale)
        return dataclasses.replace(self, short=short, longest=longest)

    def for_picture(self, size: Size) -> Windows:
        """See `ViewProtocol`."""
        ratio = min(self.short / min(size), self.longest / max(size))
        canvas = scaled(size, ratio)
        window = (min(self.window[0], canvas[0]), min(self.window[1], canvas[1]))
        return Windows(canvas, window, self.stride, self.image_size)


def make_protocol(
    image_size: Sequence[int],
    patch: int,
    sliding_window: tuple[Sequence[int], Sequence[int], Sequence[int]] | None,
    sides: Sequence[int] | None = None,
) -> ViewProtocol:
    """The protocol of a configuration.

    Args:
        image_size: height and width of the tower's input.
        patch: both are multiples of this.
        sliding_window: canvas, window size and stride, or None to look at the picture whole.
        sides: shorter side, and longer side at most, of pictures that keep their shape; None
            squashes them to the canvas.

    Raises:
        ValueError: sizes that do not fit together.
    """
    if len(image_size) != 2 or any(side < patch or side % patch for side in image_size):
        raise ValueError(
            "expected `image_size` to be a height and a width in multiples of the patch "
            f"size {patch}, got {list(image_size)}."
        )
    input_size = (image_size[0], image_size[1])
    if sliding_window is None:
        return Whole(input_size, patch)
    canvas, size, stride = sliding_window
    if sides is not None:
        # A window that is larger than a picture becomes smaller.
        canvas = size
    if any(len(pair) != 2 for pair in sliding_window) or not all(
        1 <= step <= side <= whole for step, side, whole in zip(stride, size, canvas, strict=True)
    ):
        raise ValueError(
            "expected `sliding_window` with pairs 1 <= stride <= size <= canvas, got stride "
            f"{list(stride)}, size {list(size)}, canvas {list(canvas)}."
        )
    window, step = (size[0], size[1]), (stride[0], stride[1])
    if sides is not None:
        return Slide(sides[0], sides[1], window, step, input_size)
    return CanvasWindows((canvas[0], canvas[1]), window, step, input_size)
