"""Files and folders that a test may not touch, also where the tests run as root."""

import codecs
import contextlib
import os
import resource  # noqa: F401 (another user may not be able to read it then)
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NOBODY = 65534
# Python imports it when it is first asked for, perhaps from where nobody may read.
codecs.lookup("utf-8-sig")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights in the block; another user's tests have none to give up."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def closed(*paths: Path) -> Iterator[None]:
    """Let nobody read, write or enter paths in the block."""
    modes = [path.stat().st_mode for path in paths]
    for path in reversed(paths):
        path.chmod(0)
    try:
        with as_nobody():
            yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user reaches and may write into, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
