"""Regions of a segmentation: all pixels of a class, or each connected piece by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property

import cv2
import numpy as np

from ..vocabulary.vocabulary import BACKGROUND
from ..wording import few, shown
from .rings import center_polygon, edge_rings


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Pixels of one class.

    Args:
        label: index of the class.
        name: of the class.
        box: left, top, right and bottom in pixels of the picture; right and bottom lie behind the
            last pixel, so that the box is ``right - left`` wide.
        mask: within the box, height x width, bool.
        score: mean probability of the class over these pixels, in [0, 1]; None if not known.
    """

    label: int
    name: str
    box: tuple[int, int, int, int]
    mask: np.ndarray
    score: float | None = None

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def rings(self) -> list[np.ndarray]:
        """Outlines of a connected piece along the edges of its pixels, the outer one first.

        Returns:
            N x 2 each, int64, x and y in the picture; see :func:`.rings.edge_rings`.
        """
        return [ring + self.box[:2] for ring in edge_rings(self.mask)]

    @property
    def line(self) -> np.ndarray:
        """One line through the centers of the outermost pixels of a connected piece.

        Returns:
            N x 2, int64, columns and rows of the picture; see :func:`.rings.center_polygon`.
        """
        return center_polygon(self.mask) + self.box[:2]

    def whole_mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """The mask in a picture of height and width ``shape``, bool."""
        whole = np.zeros(shape, bool)
        left, top, right, bottom = self.box
        whole[top:bottom, left:right] = self.mask
        return whole


@dataclasses.dataclass(frozen=True, eq=False)
class LabelMap:
    """A class for every pixel of a picture.

    Args:
        labels: H x W, indices into ``class_names``.
        class_names: K display names; "background" is what is of no interest.
        confidence: H x W, the probability of each pixel's class, in [0, 1]; None if not known.
    """

    labels: np.ndarray
    class_names: Sequence[str]
    confidence: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.labels.shape
        return height, width

    def indices(self, name: str) -> list[int]:
        """The classes of a name, several only in vocabularies that have it several times.

        Raises:
            ValueError: there is none.
        """
        found = [index for index, own in enumerate(self.class_names) if own == name]
        if not found:
            raise ValueError(
                f"expected a class of this segmentation, got {shown(name)}; take one of "
                f"{few(map(repr, self.class_names), 12)}"
            )
        return found

    def mask(self, name: str) -> np.ndarray:
        """The pixels of a class, H x W, bool.

        Raises:
            ValueError: there is no such class.
        """
        return np.isin(self.labels, self.indices(name))

    def regions(self, pieces: bool = False, smallest: int = 1) -> Iterator[Region]:
        """The regions of the classes, in the classes' order.

        Args:
            pieces: each connected piece by itself (pixels hang together by their sides), or all
                pixels of a class in one.
            smallest: pixels of a region, at least.
        """
        for index in np.flatnonzero(np.bincount(self.labels.ravel())).tolist():
            whole = self.labels == index
            left, top, width, height = cv2.boundingRect(whole.view(np.uint8))
            box = np.s_[top : top + height, left : left + width]
            mask = whole[box]
            confidence = None if self.confidence is None else self.confidence[box]
            for part, inside in _pieces(mask) if pieces else [(mask, np.s_[:, :])]:
                area = np.count_nonzero(part)
                if area < smallest:
                    continue
                y, x = top + (inside[0].start or 0), left + (inside[1].start or 0)
                yield Region(
                    label=index,
                    name=self.class_names[index],
                    box=(x, y, x + part.shape[1], y + part.shape[0]),
                    mask=part,
                    score=None if confidence is None else float(confidence[inside][part].mean()),
                )

    def objects(self, pieces: bool = False, smallest: int = 1) -> Iterator[Region]:
        """The same without "background", which is no object."""
        for region in self.regions(pieces, smallest):
            if region.name != BACKGROUND:
                yield region


def _pieces(mask: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[slice, slice]]]:
    """Connected pieces of a mask, each in its box, from top to bottom."""
    _, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for number, (left, top, width, height, _) in enumerate(boxes[1:].tolist(), start=1):
        inside = np.s_[top : top + height, left : left + width]
        yield numbers[inside] == number, inside
