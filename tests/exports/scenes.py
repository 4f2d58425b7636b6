"""Label maps that the tests of the formats share: rings in rings, specks, thin lines, corners."""

import numpy as np
import torch
from scipy import ndimage

from fgaseg_d2 import Vocabulary
from fgaseg_d2.predict.segmentation import Segmentation

WORDS = Vocabulary.coerce("cat|kitten, red car, sky", background="wall")


def labels() -> np.ndarray:
    """40 x 60: a sky with a car in it, which has a hole with a cat in it, and some specks."""
    found = np.full((40, 60), 2)
    found[5:30, 10:40] = 1
    found[10:25, 15:35] = 3
    found[14:20, 20:30] = 0
    found[[0, 0, 39], [0, 59, 30]] = 0
    found[35, 5:50] = 0  # a line of one pixel's width
    found[26, 12] = found[27, 13] = 2  # holes that touch in a point
    return found.astype(np.int32)


def noise(seed: int, size: tuple[int, int] = (24, 31), classes: int = 4) -> np.ndarray:
    """Patches of any shape and size, int32."""
    generator = np.random.default_rng(seed)
    values = generator.random((classes, *size))
    smooth = ndimage.gaussian_filter(values, (0, seed % 3 * 0.7, seed % 3 * 0.7))
    return smooth.argmax(0).astype(np.int32)


def segmentation(found: np.ndarray | None = None, **fields: object) -> Segmentation:
    """A segmentation of WORDS with these labels, and scores of 0.7 for them, 0.1 for the others."""
    found = labels() if found is None else found
    hot = torch.nn.functional.one_hot(torch.from_numpy(found).long(), len(WORDS))
    scores = 0.1 + 0.6 * hot.permute(2, 0, 1).float()
    image = np.random.default_rng(0).integers(0, 255, (*found.shape, 3), np.uint8)
    return Segmentation(image, found, scores, WORDS, **fields)
