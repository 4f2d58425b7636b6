"""How masks are read back, without the code that wrote them."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

BACKGROUND = 3  # of the scenes'


def pieces(found):
    """Masks of connected pieces, found by another library."""
    for index in np.unique(found):
        numbers, count = ndimage.label(found == index)
        for number in range(1, count + 1):
            yield numbers == number


def unpacked_brush(numbers):
    """Follow the description of rle-pack bit by bit."""
    bits = "".join(f"{number:08b}" for number in numbers)
    place = 0

    def read(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        same, length = read(1), read(widths[read(2)]) + 1
        values += [read(word)] * length if same else [read(word) for _ in range(length)]
    assert len(values) == total and len(bits) - place < 8
    return np.array(values, np.uint8)


def filled(shape, line):
    """A polygon as LabelMe and others fill it."""
    picture = Image.new("1", shape[::-1])
    ImageDraw.Draw(picture).polygon([tuple(at) for at in line], fill=1, outline=1)
    return np.asarray(picture)


def check_masks(found, masks, split):
    """Masks as (index, mask) are exactly the classes, or exactly their connected pieces."""
    painted = np.full(found.shape, BACKGROUND)
    for index, mask in masks:
        assert (painted[mask] == BACKGROUND).all() and mask.any()
        painted[mask] = index
    assert (painted == found).all()
    objects = np.where(found == BACKGROUND, -1, found)
    count = sum(1 for mask in pieces(objects) if objects[mask][0] >= 0)
    assert len(masks) == (count if split else len(set(np.unique(found)) - {BACKGROUND}))
