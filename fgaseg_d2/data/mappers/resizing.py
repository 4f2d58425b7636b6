"""Detectron2's resizing with label maps of any range, and for pictures of any shape."""

import detectron2.data.transforms as T
import numpy as np
from PIL import Image


class ResizeTransform(T.ResizeTransform):
    """Resizes label maps on the grid of the picture, whatever their type.

    Detectron2 resizes uint8 with Pillow and the rest with PyTorch, whose "nearest" takes another
    pixel: labels of more than 255 classes would lie up to a pixel beside their picture.
    """

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Take the label at the centre of each pixel.

        Args:
            segmentation: H x W of uint8, int32 or float32.
        """
        image = Image.fromarray(segmentation)
        return np.array(image.resize((self.new_w, self.new_h), Image.Resampling.NEAREST))


class ResizeShortestEdge(T.ResizeShortestEdge):
    """Detectron2's, with :class:`ResizeTransform`; a narrow picture keeps a row and a column."""

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """Draw a size and return the transform to it."""
        transform = super().get_transform(image)
        if not isinstance(transform, T.ResizeTransform):
            return transform
        height, width = max(1, transform.new_h), max(1, transform.new_w)
        return ResizeTransform(transform.h, transform.w, height, width, transform.interp)
