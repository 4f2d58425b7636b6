"""What counts as an answer to a bad input: it works, or one line says what is wrong with it."""

from __future__ import annotations

import re
from typing import NamedTuple

# Longer ones are not read.
LONGEST_MESSAGE = 500
# Errors that the package's functions document; all others are a traceback to whoever meets them.
PUBLIC_ERRORS = (ValueError, OSError, FloatingPointError, ImportError)

WORKS, REFUSED = "works", "refused"
TRACEBACK, MESSAGE, HANG, MEMORY, CRASH = "traceback", "message", "hang", "memory", "crash"
GOOD = (WORKS, REFUSED)
VERDICTS = (*GOOD, TRACEBACK, MESSAGE, HANG, MEMORY, CRASH)

_ADVICE = re.compile(
    r"\b(expected|must|did you mean|add|call|check|choose|convert|correct|free|give|install|leave|"
    r"make|mend|name|needs|put|register|remove|rename|save|see|set|take|use|write)\b"
)
_TRACEBACK = "Traceback (most recent call last)"
_OUT_OF_MEMORY = re.compile(r"DefaultCPUAllocator|std::bad_alloc|[Cc]annot allocate memory")


class Outcome(NamedTuple):
    """How one input ended.

    Attributes:
        verdict: one of :data:`VERDICTS`.
        note: the message, or what was wrong with it.
    """

    verdict: str
    note: str

    @property
    def good(self) -> bool:
        """Whether that is an answer."""
        return self.verdict in GOOD


def judge_return(code: int | None, output: str) -> Outcome:
    """Judge a door that returned.

    Args:
        code: exit code of a program, None for a function.
        output: what the process wrote.
    """
    if _TRACEBACK in output:
        return Outcome(TRACEBACK, _last_line(output))
    if not code:
        return Outcome(WORKS, "")
    if code not in (1, 2):
        return Outcome(MESSAGE, f"exit code {code}")
    # A summary may follow.
    errors = [line for line in _lines(output) if line.startswith("error: ")]
    if not errors:
        return Outcome(MESSAGE, f"exit code {code}, but no line is an error: {output[-300:]!r}")
    judged = [judge_message(line.removeprefix("error: ")) for line in errors]
    return next((one for one in judged if not one.good), judged[-1])


def judge_error(error: BaseException, output: str) -> Outcome:
    """Judge a door that raised.

    Args:
        error: what it raised.
        output: what the process wrote.
    """
    name, text = type(error).__name__, str(error)
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return Outcome(MEMORY, f"{name}: {text[:300]}")
    if not isinstance(error, PUBLIC_ERRORS):
        return Outcome(TRACEBACK, f"{name}: {text[:300]}")
    if _TRACEBACK in output:
        return Outcome(TRACEBACK, _last_line(output))
    judged = judge_message(text)
    return judged if judged.good else Outcome(judged.verdict, f"{name}: {judged.note}")


def judge_message(text: str) -> Outcome:
    """Judge what a user is told."""
    if "\n" in text.strip() or "\r" in text.strip():
        return Outcome(MESSAGE, f"more than one line: {text[:300]!r}")
    if len(text) >= LONGEST_MESSAGE:
        return Outcome(MESSAGE, f"{len(text)} characters: {text[:300]!r}...")
    if text.startswith("[Errno") or not _ADVICE.search(text):
        return Outcome(MESSAGE, f"neither what was expected nor what to do: {text!r}")
    return Outcome(REFUSED, text)


def _lines(output: str) -> list[str]:
    """What stands in each line, without the progress bars that it was written over."""
    return [line.rpartition("\r")[2] for line in output.rstrip().split("\n")]


def _last_line(output: str) -> str:
    return _lines(output)[-1]
