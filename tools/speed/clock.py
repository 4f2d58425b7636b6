"""Times a function beside the machine's own matrix product, and watches the memory."""

import contextlib
import ctypes
import dataclasses
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

_SIDE = 2048  # of the matrices
_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What several runs of one function took.

    Args:
        seconds: wall-clock time of each run.
        cpu_seconds: processor time of each run, over all threads.
        rates: GFLOP/s of a 2048 x 2048 x 2048 float32 matrix product right before and after each
            run, the better of the two.
        peak_memory: GiB, the most that was in use during the runs: the process's resident memory,
            or what torch had allocated on a GPU; None where the system does not say.
        memory_before: GiB in use before the first run.
    """

    seconds: list[float]
    cpu_seconds: list[float]
    rates: list[float]
    peak_memory: float | None
    memory_before: float | None

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest minus fastest run, in seconds."""
        return max(self.seconds) - min(self.seconds)

    @property
    def matmul_gflop(self) -> float:
        """Median of seconds times rate: how large a matrix product takes as long, in GFLOP."""
        return statistics.median(
            seconds * rate for seconds, rate in zip(self.seconds, self.rates, strict=True)
        )

    @property
    def extra_memory(self) -> float | None:
        """GiB above what was in use before the first run."""
        if self.peak_memory is None or self.memory_before is None:
            return None
        return self.peak_memory - self.memory_before


def measure(
    function: Callable[[], object], device: torch.device, runs: int, warmup: int
) -> Measurement:
    """Run a function `warmup` times unmeasured, then `runs` times measured.

    Args:
        function: what to time.
        device: where it computes; it is waited for.
        runs: at least 1.
        warmup: 0 or more.
    """
    _give_back_freed_memory()
    before = _memory(device)
    for _ in range(warmup):
        function()
    _reset_peak(device)
    seconds, cpu_seconds, rates = [], [], []
    rate = matmul_rate(device)
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        wait(device)
        seconds.append(time.perf_counter() - wall)
        cpu_seconds.append(time.process_time() - cpu)
        # The machine's speed may drift: what was measured closest counts.
        earlier, rate = rate, matmul_rate(device)
        rates.append(max(earlier, rate))
    return Measurement(seconds, cpu_seconds, rates, _peak_memory(device), before)


def matmul_rate(device: torch.device) -> float:
    """GFLOP/s of a large float32 matrix product, the best of three."""
    a, b = torch.ones(2, _SIDE, _SIDE, device=device).unbind(0)
    best = float("inf")
    for _ in range(3):
        wait(device)
        start = time.perf_counter()
        torch.mm(a, b)
        wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * _SIDE**3 / best / 1e9


def wait(device: torch.device) -> None:
    """Let a GPU finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _give_back_freed_memory() -> None:
    """What earlier measurements left behind would count as in use."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # glibc keeps freed memory otherwise.
        ctypes.CDLL(None).malloc_trim(0)


def _memory(device: torch.device) -> float | None:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / _GIB
    return _status("VmRSS")


def _peak_memory(device: torch.device) -> float | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    return _status("VmHWM")


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        # Linux: 5 sets the peak to what is resident now.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _status(field: str) -> float | None:
    """A field of Linux's account of this process, in GiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(ln.split()[1]) / 2**20 for ln in lines if ln.startswith(f"{field}:")), None)
