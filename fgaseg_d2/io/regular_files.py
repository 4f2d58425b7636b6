"""What is at a path, looked at before it is opened: opening a FIFO would wait for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..wording import PATH, shown
from .file_errors import reading

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# What Windows leaves in folders; macOS and Linux begin such names with a dot.
_LITTER = {"thumbs.db", "desktop.ini"}


def require_file(path: str | os.PathLike[str], what: str, advice: str = "check the path") -> Path:
    """Return a path if a regular file is there.

    Args:
        path: taken as it is.
        what: what the file should be, such as "a picture".
        advice: what to do.

    Raises:
        FileNotFoundError: nothing is there, or a folder, a FIFO, a socket or a device.
        ReadError: a folder on the way may not be entered.
    """
    with reading(path):
        found = kind_of_file(path)
    if found != "a file":
        raise FileNotFoundError(f"expected {what} at {shown(path, PATH)}, got {found}; {advice}")
    return Path(path)


def home_path(path: str | os.PathLike[str]) -> Path:
    """A path with the home folder for ``~``; ``~name`` stays where nobody is called so."""
    return Path(os.path.expanduser(path))


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a regular file is there.

    Raises:
        ReadError: a folder on the way may not be entered.
    """
    with reading(path):
        return kind_of_file(path) == "a file"


def is_litter(name: str) -> bool:
    """Whether an operating system or an interrupted program left the file of this name."""
    return name.startswith(".") or name.lower() in _LITTER


def kind_of_file(path: str | os.PathLike[str]) -> str:
    """What is at a path, in words: "a file", "a folder", "nothing" and the like.

    Raises:
        PermissionError: a folder on the way may not be entered.
    """
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        raise
    # Nothing can be called so (too long, or with a null character), or nothing is.
    except (OSError, ValueError):
        return "nothing"
    return _KINDS.get(stat.S_IFMT(mode), "something else")
