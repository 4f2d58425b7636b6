"""Translates the values of raw label files into class indices, and refuses impossible ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_IMPOSSIBLE = -1
_NAMED_VALUES = 5


class ValueTable:
    """A table from raw values to class indices.

    Attributes:
        num_classes: number of classes.
        ignore_label: value of pixels that belong to none.
        bits: of a result's pixel, 8 or 16.
    """

    def __init__(
        self,
        classes: Sequence[int],
        others: Iterable[int],
        ignore_label: int,
        *,
        background: Iterable[int] = (),
    ):
        """Take which values there are.

        Args:
            classes: raw value of each class.
            others: further values that occur; they become the ignore label.
            ignore_label: 255 for 8-bit results, 65535 for 16-bit ones.
            background: further values that occur; they become class 0, but for those of classes.
        """
        others, background = list(others), list(background)
        self.num_classes = len(classes)
        self.ignore_label = ignore_label
        self.bits = 8 if ignore_label <= 255 else 16
        # The last place takes every value outside the table, also through the index -1.
        self._table = np.full(max([*classes, *others, *background]) + 2, _IMPOSSIBLE, np.int32)
        self._table[others] = ignore_label
        self._table[background] = 0
        self._table[classes] = np.arange(len(classes))

    def apply(self, raw: np.ndarray, file: str) -> np.ndarray:
        """Translate a raw label.

        Args:
            raw: integers of any shape.
            file: named in the message.

        Returns:
            Array of that shape, uint8 or uint16.

        Raises:
            ValueError: a value that the raw encoding does not have.
        """
        end = len(self._table) - 1
        label = self._table[np.clip(raw.astype(np.int64), -1, end)]
        impossible = label == _IMPOSSIBLE
        if impossible.any():
            values, counts = np.unique(raw[impossible], return_counts=True)
            named = [f"{value} ({count} px)" for value, count in zip(values, counts, strict=True)]
            more = f" and {len(named) - _NAMED_VALUES} more" if len(named) > _NAMED_VALUES else ""
            raise ValueError(
                f"{file}: expected raw label values {self._known()}, got "
                f"{', '.join(named[:_NAMED_VALUES])}{more}; unpack the original file"
            )
        return label.astype(np.uint8 if self.bits == 8 else np.uint16)

    def _known(self) -> str:
        """The values of the table as ranges, such as "0 .. 20, 255"."""
        values = np.flatnonzero(self._table != _IMPOSSIBLE)
        runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
        return ", ".join(f"{r[0]} .. {r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
