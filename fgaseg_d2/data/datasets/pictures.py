"""Pictures that a file of a dataset of one's own names: where they are, and whether they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...io.regular_files import is_file
from ...wording import PATH, few, plain

_SHOWN = 3  # missing pictures in a message


def picture_path(name: str, images: Path) -> str:
    """Where a picture is: an address as it is, for it is fetched when it is read.

    Args:
        name: as a file of the dataset has it.
        images: folder that names begin at.
    """
    return name if _is_address(name) else str(images / name)


def require_pictures(file: Path, paths: Mapping[str, str]) -> None:
    """See that every picture is there; addresses are not looked at.

    Args:
        file: that names them.
        paths: as of :func:`picture_path` -> the place in the file, such as "line 3: ", or "".

    Raises:
        FileNotFoundError: some are missing.
        ReadError: a folder on the way may not be entered.
    """
    missing = [path for path in paths if not _is_address(path) and not is_file(path)]
    if missing:
        raise FileNotFoundError(
            f"{file}: {len(missing)} of {len(paths)} pictures do not exist: "
            f"{few((paths[path] + plain(path, PATH) for path in missing), _SHOWN)}; check the file "
            "and the folder of images"
        )


def _is_address(name: str) -> bool:
    return "://" in name
