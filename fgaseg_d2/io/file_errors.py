"""What went wrong with a file or folder, in one line: which, why, and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ..wording import in_one_line, plain
from .partial_files import PARTIAL

_LONGEST_PATH = 160  # characters that a message quotes
_NO_PERMISSION = (errno.EACCES, errno.EPERM)
_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "make the disk writable",
    errno.ENAMETOOLONG: "use shorter names",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "end other programs",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EEXIST: "check the path",
    errno.EISDIR: "check the path",
    errno.ELOOP: "mend the links",
}
_OTHER_REMEDY = "check the disk"


class FileError(OSError):
    """A file or folder cannot be read or written; the message says which, why and what to do.

    Args:
        problem: which and why.
        remedy: what to do; "" where it is part of the problem, as in what torch raises again of an
            error of another process.
        code: the system's number of the error, None if it has none.

    Attributes:
        problem: which and why, for a message that has a remedy of its own.
    """

    def __init__(self, problem: str, remedy: str = "", code: int | None = None) -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem, self.remedy, self.errno = problem, remedy, code

    def __reduce__(self) -> tuple:
        """Keep all of it on the way from another process."""
        return type(self), (self.problem, self.remedy, self.errno)


class WriteError(FileError):
    """Something cannot be written."""


class ReadError(FileError):
    """Something cannot be read, which says nothing about what it holds."""


class WritePermissionError(WriteError, PermissionError):
    """This user may not write there."""


class ReadPermissionError(ReadError, PermissionError):
    """This user may not read it."""


@contextlib.contextmanager
def writing(
    path: str | os.PathLike[str],
    elsewhere: str = "another folder",
    then: str = "",
    verb: str = "write",
) -> Iterator[None]:
    """Turn the system's errors at writing a file, or into a folder, into one with a remedy.

    Args:
        path: what is written; the message names it.
        elsewhere: where else it could go, such as "another OUTPUT_DIR"; "" for nowhere.
        then: what to do afterwards.
        verb: what cannot be done.

    Raises:
        WriteError: instead of OSError, and of what torch makes of one.
    """
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        code = _system_code(error)
        if code is None or not _concerns(error, Path(path)):
            raise
        raise write_error(path, code, elsewhere, then, verb) from error


def write_error(
    path: str | os.PathLike[str],
    code: int,
    elsewhere: str = "another folder",
    then: str = "",
    verb: str = "write",
) -> WriteError:
    """The error of a file or folder that cannot be written.

    Args:
        path: the file or folder.
        code: the system's number of the error.
        elsewhere, then, verb: as for :func:`writing`.
    """
    cause, remedy = os.strerror(code), _REMEDIES.get(code, _OTHER_REMEDY)
    if code in _NO_PERMISSION:
        remedy = "let this user write there"
    elif code in (errno.ENOTDIR, errno.EEXIST):
        cause, remedy = (
            f"{_quoted(_obstacle(Path(path)))} is no folder",
            "move that away",
        )
    elif code == errno.EISDIR:
        cause, remedy = "it is a folder", "name a file in it"
    remedy += f" or choose {elsewhere}" if elsewhere else ""
    remedy += f", then {then}" if then else ""
    kind = WritePermissionError if code in _NO_PERMISSION else WriteError
    return kind(f"cannot {verb} {_quoted(path)}: {cause}", remedy, code)


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], what: str = "") -> Iterator[None]:
    """Turn the system's errors at reading a file that is there into one with a remedy.

    Errors about what the file holds pass, and so does FileNotFoundError, because only the caller
    knows where the file should be.

    Args:
        path: what is read; the message names it.
        what: what it should be, such as "picture".

    Raises:
        ReadError: instead of OSError.
    """
    try:
        yield
    except (FileError, FileNotFoundError):
        raise
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args, error.filename) from error
    except OSError as error:
        # Libraries raise OSError without a number at contents that they cannot use.
        if error.errno is None:
            raise
        raise read_error(path, error.errno, what) from error


def read_error(path: str | os.PathLike[str], code: int, what: str = "") -> ReadError:
    """The error of a file or folder that cannot be read; arguments as for :func:`reading`."""
    remedy = _REMEDIES.get(code, _OTHER_REMEDY)
    if code in _NO_PERMISSION:
        remedy = "let this user read it"
    what = f"the {what} " if what else ""
    kind = ReadPermissionError if code in _NO_PERMISSION else ReadError
    return kind(f"cannot read {what}{_quoted(path)}: {os.strerror(code)}", remedy, code)


def explained(error: Exception) -> str:
    """The message of an error in one line, with a remedy where it has only the system's words."""
    if not isinstance(error, OSError) or not str(error).startswith("[Errno"):
        return in_one_line(str(error))
    remedy = _REMEDIES.get(error.errno or 0, "check the permissions and the disk")
    where = f"{_quoted(error.filename)}: " if error.filename is not None else ""
    return f"{where}{error.strerror}; {remedy}"


def _quoted(path: object) -> str:
    return plain(path, _LONGEST_PATH)


def _system_code(error: Exception) -> int | None:
    """The system's number of what made an error; None if it was something else."""
    if isinstance(error, OSError):
        return error.errno
    # torch makes of what a file raises an error about the length of an archive.
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        return error.__context__.errno
    return None


def _concerns(error: Exception, path: Path) -> bool:
    """Whether an error is about what is written; a block that writes may read other files."""
    name = getattr(error, "filename", None)
    if name is None:
        return True
    if not isinstance(name, (str, bytes)):
        return False
    named, path = Path(os.path.abspath(os.fsdecode(name))), Path(os.path.abspath(path))
    if named in (path, *path.parents) or path in named.parents:
        return True
    return named.parent == path.parent and named.name.startswith(PARTIAL)


def _obstacle(path: Path) -> Path:
    """The part of a path that is there and no folder."""
    there = (one for one in (path, *path.parents) if os.path.lexists(one))
    return next(there, path)
