"""Masks as lengths of runs, as COCO, CVAT and Label Studio write them."""

from __future__ import annotations

import numpy as np

_LARGEST_RUN = 2**16
# Label Studio's encoder (thi.ng/rle-pack) chooses one of four widths for the length of a run.
_WIDTHS = np.array([3, 4, 8, 16])
_WORD = 8


def run_lengths(mask: np.ndarray) -> np.ndarray:
    """Lengths of the runs of a mask, row by row.

    Args:
        mask: H x W, bool.

    Returns:
        Pixels outside, inside, outside, ... in turn, int64; the first may be 0.
    """
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    lengths = np.diff(edges)
    return np.concatenate([[0], lengths]) if flat[0] else lengths


def brush_rle(mask: np.ndarray) -> list[int]:
    """Label Studio's run lengths of a brush: the mask as a picture of red, green, blue and alpha.

    The format is that of the package rle-pack of thi.ng/umbrella: the number of bytes in 32 bits,
    the width of a word less 1 in 5, four widths of lengths less 1 in 4 each; then, for each run, a
    bit 1, 2 bits that choose a width, the length less 1, and the word.

    Args:
        mask: H x W, bool.

    Returns:
        Bytes as numbers from 0 to 255.
    """
    lengths = 4 * run_lengths(mask)
    values = np.where(np.arange(len(lengths)) % 2, 255, 0)
    # Runs that no length can hold go on in another one.
    times = -(-lengths // _LARGEST_RUN)
    last = np.cumsum(times) - 1
    values, parts = np.repeat(values, times), np.full(times.sum(), _LARGEST_RUN)
    parts[last[times > 0]] = (lengths - (times - 1) * _LARGEST_RUN)[times > 0]
    choice = np.searchsorted(2**_WIDTHS, parts)
    width = _WIDTHS[choice]
    # The bits of a run as one number: 1, the choice, the length less 1, the word.
    run = (((4 + choice) << width | (parts - 1)) << _WORD) | values
    size = 3 + width + _WORD
    header = [(4 * mask.size, 32), (_WORD - 1, 5), *((int(bits) - 1, 4) for bits in _WIDTHS)]
    numbers = np.concatenate([[number for number, _ in header], run])
    sizes = np.concatenate([[bits for _, bits in header], size])
    return _packed(numbers, sizes).tolist()


def _packed(numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Numbers one behind the other in as many bits as ``sizes`` says, as bytes."""
    longest = int(sizes.max())
    places = np.arange(longest - 1, -1, -1)
    bits = numbers[:, None] >> places & 1
    return np.packbits(bits[places < sizes[:, None]].astype(np.uint8))
