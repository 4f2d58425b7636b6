"""Gives each input to a process of its own, forked from this one, within bounds.

A fork takes the loaded libraries and the model with it, so that an input costs hundredths of a
second; and whatever it breaks, only its own process is broken.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bad_inputs.case import Case
from bad_inputs.judging import CRASH, HANG, MEMORY, Outcome, judge_error, judge_return

_OUTPUT, _RESULT, _BEFORE, _WORK = "output.txt", "result.json", "before.txt", "work"
_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one input may take.

    Attributes:
        processor_seconds: of the process; more is a hang.
        wall_seconds: for what waits without computing, such as for a pipe; generous, because other
            programs may keep the processor busy.
        memory: MiB beyond what this process has.
        address_space: MiB beyond what this process has, so that a bomb cannot take the machine.
    """

    processor_seconds: int = 20
    wall_seconds: int = 600
    memory: int = 1024
    address_space: int = 8192


@dataclass(frozen=True)
class Tried:
    """An input that was tried.

    Attributes:
        text: what it was.
        outcome: how it ended.
        output: what its process wrote, with the traceback of what was raised.
        seconds: of the processor.
    """

    text: str
    outcome: Outcome
    output: str
    seconds: float


def try_input(make: Callable[[Path], Case], folder: Path, limits: Limits) -> Tried:
    """Make an input and give it to its door, in a process of its own.

    Args:
        make: draws the input in the empty folder that it is given, the process's working directory.
        folder: for all that belongs to the process; made anew, and left behind.
        limits: of the process.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / _WORK).mkdir(parents=True)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _be_the_child(make, folder, limits)
    status, usage, late = _wait(child, limits.wall_seconds)
    output = (folder / _OUTPUT).read_text("utf-8", "replace")
    text, outcome = _result(folder, status, late)
    grown = (usage.ru_maxrss - int((folder / _BEFORE).read_text("ascii"))) // 1024
    if grown > limits.memory:
        outcome = Outcome(MEMORY, f"{grown} MiB more than before; then {outcome.note}")
    return Tried(text, outcome, output, usage.ru_utime + usage.ru_stime)


def _wait(child: int, seconds: int) -> tuple[int, resource.struct_rusage, bool]:
    """Wait for the process, then end whatever it started; returns status, usage, whether late."""
    deadline, late = time.monotonic() + seconds, False
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if not late and time.monotonic() > deadline:
            late = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return status, usage, late


def _result(folder: Path, status: int, late: bool) -> tuple[str, Outcome]:
    """Read what the process left, or what its end says."""
    try:
        text, verdict, note = json.loads((folder / _RESULT).read_text("utf-8"))
    except FileNotFoundError:
        text, verdict, note = "(while the input was made)", CRASH, "no result"
    if late:
        return text, Outcome(HANG, "it waited without an end")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return text, Outcome(HANG, "it computed without an end")
        return text, Outcome(CRASH, f"ended by {signal.Signals(number).name}")
    return text, Outcome(verdict, note)


def _be_the_child(make: Callable[[Path], Case], folder: Path, limits: Limits) -> NoReturn:
    code = 70
    try:
        _enter(folder, limits)
        _try(make, folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Neither the parent's clean-up nor its test runner may run here.
        os._exit(code)


def _enter(folder: Path, limits: Limits) -> None:
    """Bounds, working directory and output of the process."""
    os.setsid()
    # A test runner's would write to the runner's own output.
    faulthandler.disable()
    handle = os.open(folder / _OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        for number in (1, 2)
    )
    work = folder / _WORK
    os.chdir(work)
    # A fork begins with less than its parent: pages of files come when they are needed.
    (folder / _BEFORE).write_text(str(_resident_kib()), "ascii")
    os.environ |= {"HOME": str(work), "FVCORE_CACHE": str(folder / "cache")}
    seconds = limits.processor_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * _MIB, 1024 * _MIB))
    if memory := _memory():
        bound = memory[0] + limits.address_space * _MIB
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _memory() -> tuple[int, int] | None:
    """Bytes of this process: address space, resident; None where the system does not say."""
    try:
        size, resident, *_ = Path("/proc/self/statm").read_text("ascii").split()
    except OSError:
        return None
    return int(size) * resource.getpagesize(), int(resident) * resource.getpagesize()


def _resident_kib() -> int:
    memory = _memory()
    return memory[1] // 1024 if memory else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _try(make: Callable[[Path], Case], folder: Path) -> None:
    work = folder / _WORK
    case = make(work)

    def leave(outcome: Outcome) -> None:
        result = json.dumps([case.text, *outcome])
        (folder / _RESULT).write_text(result, "utf-8", "backslashreplace")

    # What stays if the process is ended from outside.
    leave(Outcome(CRASH, "its process ended early"))
    try:
        code = case.door()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:
        leave(judge_error(error, _written(folder)))
        traceback.print_exc()
        return
    leave(judge_return(code, _written(folder)))


def _written(folder: Path) -> str:
    sys.stdout.flush()
    sys.stderr.flush()
    return (folder / _OUTPUT).read_text("utf-8", "replace")
