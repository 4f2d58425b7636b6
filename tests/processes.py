"""What tests of processes share: looking at them, and waiting however slow the machine is."""

import time
from collections.abc import Callable
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


def children_of(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process has not ended yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
