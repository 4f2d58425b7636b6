"""Which windows of tokens the layers of a method let each window attend to.

Letters: V views, h w a view's token grid, n windows of it, row by row, k windows chosen.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor

from .inference.geometry import Box


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Routes:
    """The choices of one layer.

    Args:
        chosen: V x n x k, numbers of windows, the best first.
        grid: h and w.
        window: tokens a side of a window; where it does not divide the grid, the windows at the
            right and at the bottom are smaller.
    """

    chosen: Tensor
    grid: tuple[int, int]
    window: int

    @property
    def columns(self) -> int:
        """Windows in a row."""
        return -(-self.grid[1] // self.window)

    def window_at(self, x: float, y: float) -> int:
        """Number of the window that shows a place.

        Args:
            x, y: fractions of the view's width and height, in [0, 1].
        """
        row, column = (
            min(int(place * tokens), tokens - 1) // self.window
            for place, tokens in zip((y, x), self.grid, strict=True)
        )
        return row * self.columns + column

    def box(self, number: int) -> Box:
        """What a window shows, in fractions of the view's width and height."""
        row, column = divmod(number, self.columns)
        top, left = row * self.window, column * self.window
        bottom, right = (
            min(start + self.window, tokens)
            for start, tokens in zip((top, left), self.grid, strict=True)
        )
        height, width = self.grid
        return left / width, top / height, right / width, bottom / height
