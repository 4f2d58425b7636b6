"""What a command line tells its user when something goes wrong: one line, not a traceback."""

import logging
import os
import re
import sys
from collections.abc import Callable

import torch
from torch.multiprocessing import ProcessRaisedException

from fgaseg_d2.engine.streams import show_any_name
from fgaseg_d2.wording import in_one_line

# Set to 1 to see where an error came from.
TRACEBACK_VARIABLE = "FGASEG_TRACEBACK"
_CPU_MEMORY = "DefaultCPUAllocator"
_USER_ERRORS = (ValueError, OSError, FloatingPointError, ImportError, torch.OutOfMemoryError)
_USER_ERROR_LINE = re.compile(
    r"^(?:[\w.]*PretrainedWeightsError|ValueError|OSError|FileNotFoundError|PermissionError|FloatingPointError|ImportError|"
    r"ModuleNotFoundError|torch\.OutOfMemoryError|torch\.cuda\.OutOfMemoryError): (.*)"
)


def run(command: Callable[[], object]) -> int:
    """Run a command and report what its user can mend in one line on standard error.

    Args:
        command: errors of other kinds, which only a programmer can mend, pass through.

    Returns:
        Exit code: 0, 1 after an error, 130 after an interruption from the keyboard.
    """
    show_any_name()
    if _tracebacks_wanted():
        command()
        return 0
    try:
        command()
    except KeyboardInterrupt as interruption:
        sys.stderr.write(f"{str(interruption) or 'interrupted'}\n")
        return 130
    except (*_USER_ERRORS, MemoryError, RuntimeError, ProcessRaisedException) as error:
        message = one_line(error)
        if message is None:
            raise
        sys.stderr.write(f"error: {message}\n")
        return 1
    return 0


def one_line(error: BaseException) -> str | None:
    """Return an error's message in one short line, or None if no user can mend it.

    Args:
        error: possibly one that another process raised, whose message holds a traceback.
    """
    text = str(error).strip() or type(error).__name__
    if "Traceback (most recent call last)" in text:
        found = [match[1] for line in text.splitlines() if (match := _USER_ERROR_LINE.match(line))]
        return in_one_line(found[-1]) if found else None
    if isinstance(error, _USER_ERRORS):
        return in_one_line(text)
    # On a CPU torch reports this as a plain RuntimeError.
    if isinstance(error, MemoryError) or _CPU_MEMORY in text:
        return (
            f"expected enough memory, got an error ({in_one_line(text, 150)}); take smaller "
            "pictures, batches or layers"
        )
    return None


def shorten_logged_errors() -> None:
    """Let this process log an error in training, if a user can mend it, in one line as well."""
    if not _tracebacks_wanted():
        logging.getLogger("detectron2.engine.train_loop").addFilter(_without_traceback)


def _tracebacks_wanted() -> bool:
    return os.environ.get(TRACEBACK_VARIABLE, "0") != "0"


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log filter: Detectron2 logs an exception in training with its traceback; drop that."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and (message := one_line(error)) is not None:
        record.exc_info, record.exc_text = None, None
        record.msg, record.args = f"Training stopped: {message}", ()
    return True
