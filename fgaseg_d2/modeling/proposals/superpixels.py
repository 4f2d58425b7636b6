"""Superpixels: SLIC of scikit-image, which divides a picture into pieces of one color."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...io.extras import import_extra


@dataclass(frozen=True)
class Superpixels:
    """A picture's superpixels; together they cover it once.

    Args:
        count: about so many.
        compactness: how much nearness counts beside color; the more, the more square they are.

    Source: Achanta et al., "SLIC Superpixels", TPAMI 2012.
    """

    count: int = 256
    compactness: float = 10.0

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """H x W x 3 uint8, RGB -> M x H x W, bool.

        Raises:
            ImportError: scikit-image is not installed.
        """
        slic = import_extra("skimage.segmentation", "use").slic
        labels = slic(picture, n_segments=self.count, compactness=self.compactness, start_label=0)
        return labels[None] == np.arange(labels.max() + 1)[:, None, None]
