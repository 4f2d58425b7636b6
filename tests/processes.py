"""What tests of processes share: looking at them, and waiting however slow the machine is."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Seconds until a test gives up on what hangs. Nothing that works takes as long, even beside many
# other programs, so that no result depends on the machine's speed.
PATIENCE = 1800


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.02)


@contextlib.contextmanager
def interrupted_when(
    condition: Callable[[], object], sent: signal.Signals = signal.SIGINT
) -> Iterator[None]:
    """Send this process a signal once a condition holds, unless the block has ended by then.

    Within the block Ctrl-C does what it does in a program, and not what a shell makes of it that
    has started the tests in the background.
    """
    ended = threading.Event()

    def send() -> None:
        wait_until(lambda: ended.is_set() or condition())
        if not ended.is_set():
            os.kill(os.getpid(), sent)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def children_of(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> bytes:
    """The command line of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def alive(pid: int) -> bool:
    """Whether a process has not ended yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
