"""Threads that wait by spinning, which costs much where another program uses the same cores.

OpenMP's threads, with which PyTorch shares a step of a model on a CPU, spin for a while when their
share is done: they are there at once for the next step. On a core that they share with others they
only keep those, and each other, from working. docs/PERFORMANCE.md has figures.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

logger = logging.getLogger(__name__)

_LONG = 0.5  # seconds; what a shorter call of a model may lose is not looked into
_PROBES = 5  # what spins does not do so all the time
_STEPS = 10  # of a probe
_GRAIN = 2**15  # elements below which PyTorch leaves an elementwise step to one thread


@dataclass(frozen=True)
class Overhead:
    """What small parallel steps cost, beside the same work on one thread.

    Args:
        ratio: their processor time, over all threads, divided by that of one thread. Threads that
            spin on cores of their own make it 2 or 3, threads that sleep among others 20.
        seconds: wall-clock time of one step. Threads that spin among others lose whole time slices.
    """

    ratio: float
    seconds: float

    @property
    def is_spinning(self) -> bool:
        """Whether threads spin where others need the cores."""
        return self.ratio >= 50 and self.seconds >= 1e-3


def measure_overhead() -> Overhead:
    """Add up a few numbers on all of PyTorch's threads, and on one; well below a millisecond."""
    threads = torch.get_num_threads()
    numbers = torch.zeros(threads * _GRAIN)
    share = numbers[:_GRAIN]
    wall, processor = _time(lambda: numbers.add_(1), _STEPS)
    _, alone = _time(lambda: share.add_(1), _STEPS * threads)
    return Overhead(processor / max(alone, 1e-9), wall / _STEPS)


def _time(step: Callable[[], object], count: int) -> tuple[float, float]:
    """Wall-clock seconds and processor seconds of several calls."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        step()
    return time.perf_counter() - wall, time.process_time() - processor


class WaitingCheck:
    """Looks now and then whether threads spin in vain, and says so once."""

    def __init__(self) -> None:
        self.said = False

    def __call__(self, seconds: float, device: torch.device) -> None:
        """Look, after a model was called.

        Args:
            seconds: that it took; there is nothing to look for after a short call.
            device: where it computed, which must be the CPU for its threads to matter.
        """
        if self.said or seconds < _LONG or device.type != "cpu" or torch.get_num_threads() == 1:
            return
        for _ in range(_PROBES):
            overhead = measure_overhead()
            if overhead.is_spinning:
                self.said = True
                logger.warning(
                    "PyTorch's threads wait by spinning, on cores that another program uses: a "
                    "small step costs %.0f times its processor time, and this model may take more "
                    "than ten times as long. Set OMP_WAIT_POLICY=PASSIVE and KMP_BLOCKTIME=0 in "
                    "the environment before torch is imported, or OMP_NUM_THREADS=1.",
                    overhead.ratio,
                )
                return


check_waiting = WaitingCheck()
