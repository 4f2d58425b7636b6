"""A test whether a picture looks like a photograph, for models that know drawings only.

A drawing is flat with sharp edges, and mostly light or colourful. What a camera sees changes a
little at nearly every place, and is darker and duller. So a picture is made small, and three
histograms are taken of it in CIELAB: of the contrast of each place with its neighbours, of chroma
and of lightness. A weighted sum of their shares, positive for photographs, decides.

The weights are a logistic regression's on 400 Storybook scenes for training and 86 photographs
(CBSD68, McMaster), whole, cropped, resized and as JPEG. Measured on others: of Storybook's 300
scenes for validation none is taken for a photograph, nor are scenes of 128 to 1024 pixels or as
JPEG of quality 30; of the 24 photographs of Kodak 22 are found (all in grey), of scikit-image's and
scikit-learn's 18 pictures by cameras, telescopes and microscopes 17.
"""

from __future__ import annotations

import cv2
import numpy as np

_SIDE = 96  # the longer one, in pixels, of the small picture
_LEAST_SIDE = 24  # with fewer rows or columns there is little to tell by
# Upper ends of the bins, and the weight of each.
_CONTRAST = (0.5, 1, 2, 4, 8, 16, np.inf), (-6.6, 1.6, 5.9, 7.9, 10.7, -7.1, -10.5)
_CHROMA = (8, 20, 40, 60, np.inf), (4.6, 1.5, -0.2, -6.0, 2.0)
_LIGHTNESS = (15, 30, 50, 70, 85, np.inf), (13.4, 16.4, -10.0, 0.1, -10.3, -7.7)
_OFFSET = 1.9
# Diagrams and silhouettes have hardly a place of contrast between 0.5 and 8; photographs have.
_SLIGHT = slice(1, 5)
_LEAST_SLIGHT = 0.3


def looks_like_photograph(picture: np.ndarray) -> bool:
    """Whether a picture rather comes from a camera than from a drawing.

    Args:
        picture: H x W x 3, uint8, RGB.
    """
    if min(picture.shape[:2]) < _LEAST_SIDE:
        return False
    lab = _small_lab(picture)
    mean = cv2.blur(lab, (3, 3))
    variance = np.maximum(cv2.blur(lab * lab, (3, 3)) - mean * mean, 0).sum(-1)
    contrast = _shares(np.sqrt(variance), _CONTRAST[0])
    if contrast[_SLIGHT].sum() < _LEAST_SLIGHT:
        return False
    chroma = _shares(np.hypot(lab[..., 1], lab[..., 2]), _CHROMA[0])
    lightness = _shares(lab[..., 0], _LIGHTNESS[0])
    parts = ((contrast, _CONTRAST[1]), (chroma, _CHROMA[1]), (lightness, _LIGHTNESS[1]))
    return sum(float(shares @ np.array(weights)) for shares, weights in parts) + _OFFSET > 0


def _small_lab(picture: np.ndarray) -> np.ndarray:
    """The picture in CIELAB, h x w x 3 float32, small and without grain."""
    height, width = picture.shape[:2]
    factor = _SIDE / max(height, width)
    size = max(8, round(width * factor)), max(8, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(picture.astype(np.float32) / 255, size, interpolation=how)
    return cv2.cvtColor(cv2.medianBlur(small, 3), cv2.COLOR_RGB2LAB)


def _shares(values: np.ndarray, ends: tuple[float, ...]) -> np.ndarray:
    """The share of the values in each bin; the last bin has no end."""
    bins = np.digitize(values.ravel(), ends[:-1])
    return np.bincount(bins, minlength=len(ends)) / values.size
