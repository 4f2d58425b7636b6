"""Crops of a share of the picture's area, all made one size."""

from __future__ import annotations

from collections.abc import Sequence

import detectron2.data.transforms as T
import numpy as np
import torch
from torchvision.transforms import RandomResizedCrop

from .resizing import ResizeTransform

# Width / height of what is cut out, as everybody has it who trains a CLIP.
_RATIOS = (3 / 4, 4 / 3)
_DRAWS = 10  # as often as Detectron2 draws a crop again


class ResizedCrop(T.Augmentation):
    """Cuts a window of a random share of the area out, and makes it one size.

    The window is drawn by :meth:`torchvision.transforms.RandomResizedCrop.get_params`.
    """

    def __init__(
        self,
        size: Sequence[int],
        area: Sequence[float],
        *,
        class_area: float = 1.0,
        ignore_value: int | None = None,
    ) -> None:
        """Take everything as plain values.

        Args:
            size: height and width of the result in pixels.
            area: least and greatest share of the picture's area, above 0 and at most 1.
            class_area: a window in which one class has more than this share of the labelled pixels
                is drawn again, ten times at most.
            ignore_value: label of pixels that are not labelled; None where nothing is drawn again.
        """
        super().__init__()
        self.size = tuple(size)
        self.area = list(area)
        self.class_area = class_area
        self.ignore_value = ignore_value

    def get_transform(self, image: np.ndarray, sem_seg: np.ndarray | None) -> T.Transform:
        """Draw a window.

        Args:
            image: H x W x 3.
            sem_seg: H x W, or None.
        """
        height, width = image.shape[:2]
        # The function asks its picture for the size alone.
        shape = torch.empty(0, height, width)
        for _ in range(_DRAWS):
            window = RandomResizedCrop.get_params(shape, self.area, list(_RATIOS))
            if sem_seg is None or self._is_mixed(sem_seg, *window):
                break
        top, left, crop_height, crop_width = window
        return T.TransformList(
            [
                T.CropTransform(left, top, crop_width, crop_height, orig_w=width, orig_h=height),
                ResizeTransform(crop_height, crop_width, *self.size),
            ]
        )

    def _is_mixed(self, labels: np.ndarray, *window: int) -> bool:
        if self.class_area >= 1 or self.ignore_value is None:
            return True
        top, left, height, width = window
        values, counts = np.unique(
            labels[top : top + height, left : left + width], return_counts=True
        )
        counts = counts[values != self.ignore_value]
        return len(counts) > 1 and counts.max() <= self.class_area * counts.sum()
