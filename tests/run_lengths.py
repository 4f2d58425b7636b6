"""COCO's run lengths, counted pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np


def runs_of(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed: the lengths of runs of 0 and 1 in turn, down the columns."""
    runs, last = [0], False
    for value in mask.astype(bool).T.ravel().tolist():
        if value != last:
            runs.append(0)
            last = value
        runs[-1] += 1
    return {"size": list(mask.shape), "counts": runs}
