"""The files that a dataset's records name, which may lie on another machine."""

import http.client
import os

import numpy as np
from detectron2.utils.file_io import PathManager

from ..io.files import read_picture
from ..wording import in_one_line, shown


def local_path(file_name: str | bytes | os.PathLike[str]) -> str:
    """The path of a file on this machine; fetched, where its name is an address.

    Args:
        file_name: a path, or what Detectron2's PathManager takes.

    Raises:
        OSError: an address from which it cannot be fetched.
    """
    name = os.fsdecode(file_name)
    try:
        return PathManager.get_local_path(name)
    except (OSError, http.client.HTTPException) as error:
        raise OSError(
            f"expected a file at {shown(name)}, but it could not be fetched "
            f"({in_one_line(str(error), 120)}); check the address and the network"
        ) from error


def read_dataset_picture(file_name: str | bytes | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read a picture as :func:`fgaseg_d2.io.files.read_picture` does, from wherever it lies."""
    return read_picture(local_path(file_name))
