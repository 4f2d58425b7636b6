"""Processes that do the same work take turns: one does it, the others wait and find it done."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def turn(path: str | os.PathLike[str], others: str) -> Iterator[None]:
    """Hold a lock, which the system releases however this process ends.

    Args:
        path: of the lock's file, whose folder is made.
        others: what another process does that holds it, for the log.

    Raises:
        OSError: it cannot be written, or is on a file system that has no locks.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            logger.info("another process %s; waiting for it", others)
            lock.acquire()
    # filelock's word for a file system without locks.
    except NotImplementedError as error:
        raise OSError(f"no locks on this file system: {os.fspath(path)}") from error
    try:
        yield
    finally:
        lock.release()
