"""Files that are being written: hidden beside their place, locked, and swept up if left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Begins the names of files that are being written.
PARTIAL = ".partial-"

_swept: set[str] = set()
_being_written: set[object] = set()
_when_written: list[Callable[[], object]] = []
if hasattr(os, "register_at_fork"):
    # What other threads are writing is none of a new process's work.
    os.register_at_fork(after_in_child=_being_written.clear)


@contextlib.contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Give a new file beside ``path``, which becomes it if the block succeeds and goes if not.

    Args:
        path: in a folder that is there.

    Raises:
        OSError: as the system says.
    """
    token = object()
    _being_written.add(token)
    try:
        descriptor, temporary = _begin(path)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            # After success there is nothing left to remove. The lock goes last.
            temporary.unlink(missing_ok=True)
            if descriptor is not None:
                os.close(descriptor)
    finally:
        _being_written.discard(token)
        if _when_written and not _being_written:
            _when_written[0]()


def when_written(action: Callable[[], object]) -> None:
    """Do something that ends this process, but not in the middle of a file.

    Args:
        action: called now, or else by the thread that is writing as soon as that is done.
    """
    _when_written.append(action)
    if not _being_written:
        action()


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove what killed processes of this user left half-written in a folder.

    A file that a process is still writing is locked, and stays. So does whatever is on a disk that
    knows no locks, belongs to another user, or cannot be removed.

    Args:
        folder: need not exist.
    """
    _swept.add(os.path.abspath(folder))
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if name.startswith(PARTIAL)]
        for name in names:
            with contextlib.suppress(OSError):
                _remove_unlocked(os.path.join(folder, name))


def remove_leftovers_once(folder: str | os.PathLike[str]) -> None:
    """The same, the first time that this process asks for a folder."""
    if os.path.abspath(folder) not in _swept:
        remove_leftovers(folder)


def _begin(path: Path) -> tuple[int | None, Path]:
    """Make a file with the usual permissions and lock it; returns its descriptor and its path."""
    while True:
        temporary = path.parent / f"{PARTIAL}{secrets.token_hex(4)}{path.suffix}"
        try:
            descriptor = open_locked(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        except FileExistsError:
            continue
        # Where another process took it for a leftover, it goes with that.
        if descriptor is None:
            continue
        if sys.platform == "win32":  # where an open file cannot be renamed
            os.close(descriptor)
            return None, temporary
        return descriptor, temporary


def open_locked(path: Path, flags: int) -> int | None:
    """Open a file and lock it until its descriptor is closed.

    Args:
        path: of the file; one that is made has the usual permissions.
        flags: as `os.open` has them.

    Returns:
        Its descriptor; None where another process has locked it.

    Raises:
        OSError: as the system says.
    """
    while True:
        descriptor = os.open(path, flags, 0o666)
        if not lock(descriptor, without=True):
            os.close(descriptor)
            return None
        # Before it was locked, another process may have removed it.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def lock(descriptor: int, without: bool) -> bool:
    """Lock a file until its descriptor is closed.

    Args:
        descriptor: of the file.
        without: the answer on a disk or system that knows no such locks.

    Returns:
        Whether it was to be had.
    """
    if sys.platform == "win32":
        return without
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without
    return True


def _remove_unlocked(path: str) -> None:
    """Remove a file of this user's that no process has locked."""
    found = os.lstat(path)
    # What is not a file could block whoever opens it.
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if lock(descriptor, without=False):
            os.unlink(path)
    finally:
        os.close(descriptor)
