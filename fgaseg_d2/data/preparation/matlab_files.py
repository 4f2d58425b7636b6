"""Label maps in MATLAB files (version 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from .raw_files import check_not_empty


def read_variable(path: Path, name: str, archive: str) -> Any:
    """Read one variable, as SciPy gives it.

    Args:
        path: of the file.
        name: of the variable.
        archive: that has such files, in words.

    Raises:
        FileNotFoundError, ValueError: no such file, a damaged one, or no such variable in it.
    """
    check_not_empty(path, "MATLAB file")
    try:
        content = scipy.io.loadmat(path, variable_names=[name])
        names = [found for found, _, _ in scipy.io.whosmat(path)]
    # A damaged file makes SciPy raise anything from a TypeError to a zlib.error.
    except Exception as error:
        raise ValueError(
            f"{path}: expected a MATLAB file (version 5), got an error ({error}); unpack it anew"
        ) from error
    if name not in content:
        raise ValueError(
            f"{path}: expected a {name}, got {', '.join(names) or 'nothing'}; unpack {archive}"
        )
    return content[name]


def label_map(value: Any, path: Path, name: str) -> np.ndarray:
    """What was read, if it is a label map.

    Args:
        value: anything.
        path: of the file, for the message.
        name: of the value, for the message.

    Returns:
        H x W integers.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in "iu":
        found = f"{getattr(value, 'dtype', type(value))} of shape {getattr(value, 'shape', ())}"
        raise ValueError(
            f"{path}: expected a {name} of whole numbers, height x width, got {found}; unpack it "
            "anew"
        )
    return value
