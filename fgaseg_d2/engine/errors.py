"""What a command line tells its user when something goes wrong: one line, not a traceback."""

import contextlib
import errno
import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from ..io.file_errors import explained, write_error
from ..wording import in_one_line
from .streams import show_any_name

# Set to 1 to see where an error came from.
_TRACEBACK_VARIABLE = "FGASEG_TRACEBACK"
_CPU_MEMORY = "DefaultCPUAllocator"
_USER_ERRORS = (
    *(ValueError, OSError, FloatingPointError, ImportError, MemoryError),
    torch.OutOfMemoryError,
)
# What gloo says where another process has gone. NCCL has a type for it, gloo raises a RuntimeError
# like any other, so that the words are all there is. They decide on words only: a process that has
# lost another is ended from outside soon after, and what it says is heard only on other machines.
_LOST_CONNECTION = re.compile(
    r"gloo.*(?:connection (?:closed|reset|refused)|broken pipe|timed out)",
    re.IGNORECASE | re.DOTALL,
)
_LOST = (
    "another process of this run has ended, and none can go on without it; look above for why, "
    "then continue with --resume from the last checkpoint"
)


class ProcessFailure(ProcessRaisedException):
    """A process of this machine's run has ended with an error that a user can mend.

    Args:
        message: the error in one line.
        error: how torch reports it.
    """

    def __init__(self, message: str, error: ProcessRaisedException) -> None:
        super().__init__(message, error.error_index, error.error_pid)


class LostProcessError(OSError):
    """Another process of a distributed run has gone."""

    def __init__(self) -> None:
        super().__init__(_LOST)


class CommandLineError(ValueError):
    """What a command line names cannot be used, as a wrong option cannot."""


@contextlib.contextmanager
def of_the_command_line() -> Iterator[None]:
    """In this block, look at what a command line names: what is wrong with it is a wrong option."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise CommandLineError(one_line(error)) from error


def run(command: Callable[[], object]) -> int:
    """Run a command and report what its user can mend in one line on standard error.

    Args:
        command: errors of other kinds, which only a programmer can mend, pass through.

    Returns:
        Exit code: 0; 1 after an error; 2 after a :class:`CommandLineError`; 130 after an
        interruption from the keyboard.
    """
    show_any_name()
    try:
        command()
        sys.stdout.flush()
    except KeyboardInterrupt as interruption:
        sys.stderr.write(f"{str(interruption) or 'interrupted'}\n")
        return 130
    except Exception as error:
        message = _lost_output(error) or one_line(error)
        if message is None:
            raise
        if tracebacks_wanted():
            traceback.print_exc()
        # Whoever has stopped reading our output needs no word about it.
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: {message}\n")
        return 2 if isinstance(error, CommandLineError) else 1
    finally:
        _close_full_logs()
    return 0


def one_line(error: BaseException) -> str | None:
    """Return an error's message in one short line, or None if no user can mend it.

    Args:
        error: possibly one of a DataLoader's process, which torch raises again in this one as an
            error of the same type, with a traceback as its message.
    """
    whole = str(error).strip()
    text = _own_words(error, whole) or type(error).__name__
    if isinstance(error, ProcessFailure):
        return in_one_line(text)
    if isinstance(error, ProcessExitedException):
        why = ", perhaps for want of memory" if error.exit_code == -signal.SIGKILL else ""
        return f"{text}{why}; --resume continues from the last checkpoint"
    if is_lost_connection(error):
        return _LOST
    # On a CPU torch reports this as a plain RuntimeError.
    if isinstance(error, MemoryError) or _CPU_MEMORY in text:
        return (
            f"expected enough memory, got an error ({in_one_line(text, 150)}); take smaller "
            "pictures, batches or layers"
        )
    if isinstance(error, OSError) and text == whole:
        return in_one_line(explained(error))
    if isinstance(error, _USER_ERRORS):
        return in_one_line(text)
    return None


def _own_words(error: BaseException, text: str) -> str:
    """An error's message; of one whose message is a traceback, that of the error at its end."""
    if "Traceback (most recent call last)" not in text:
        return text
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("__main__", "builtins"):
        name = f"{kind.__module__}.{name}"
    for line in reversed(text.splitlines()):
        if line == name or line.startswith(f"{name}: "):
            return line.removeprefix(name).removeprefix(": ")
    return text


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error says that another process of a distributed run has gone."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and bool(_LOST_CONNECTION.search(str(error)))


def shorten_logged_errors() -> None:
    """Let this process log an error in training, if a user can mend it, in one line as well.

    A log that cannot be written, such as on a full disk, is no reason for tracebacks either.
    """
    if not tracebacks_wanted():
        logging.getLogger("detectron2.engine.train_loop").addFilter(_without_traceback)
        logging.raiseExceptions = False
        threading.excepthook = _report_thread


def tracebacks_wanted() -> bool:
    """Whether whoever started this program wants to see where errors come from."""
    return os.environ.get(_TRACEBACK_VARIABLE, "0") != "0"


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log filter: Detectron2 logs an exception in training with its traceback; drop that."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and (message := one_line(error)) is not None:
        record.exc_info, record.exc_text = None, None
        record.msg, record.args = f"Training stopped: {message}", ()
    return True


def _report_thread(args: threading.ExceptHookArgs) -> None:
    """Say nothing where TensorBoard's thread cannot write, for the main thread will be told."""
    is_writer = type(args.thread).__module__.startswith("tensorboard.")
    if not (is_writer and issubclass(args.exc_type, OSError)):
        threading.__excepthook__(args)


def _lost_output(error: Exception) -> str | None:
    """Say that standard output cannot be written, where that is what went wrong."""
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    try:
        sys.stdout.flush()
    except OSError as lost:
        # Python would try once more at the end, and complain itself.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return explained(write_error("standard output", lost.errno or errno.EIO, "another place"))
    return None


def _close_full_logs() -> None:
    """Close log files that cannot be written; at exit they would be flushed once more, and fail."""
    known = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    for logger in (logging.root, *known):
        for handler in logger.handlers:
            stream = getattr(handler, "stream", None)
            if stream is None or stream in (sys.stdout, sys.stderr):
                continue
            try:
                stream.flush()
            except (OSError, ValueError):
                with contextlib.suppress(OSError, ValueError):
                    stream.close()
