"""Times a function beside the machine's own matrix product, watches memory, tells stages apart."""

import contextlib
import ctypes
import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn
from torch.profiler import profile, record_function
from torch.utils.benchmark import Timer

from fgaseg_d2.modeling.segmentor import OpenVocabSegmentor
from fgaseg_d2.modeling.stages import Hooked

_SIDE, _SECONDS = 2048, 0.1  # of the matrices, and how long at least they are multiplied
_GIB = 2**30


def measure(
    function: Callable[[], object], device: torch.device, seconds: float
) -> dict[str, float | None]:
    """Call a function once unmeasured, then again and again.

    Args:
        function: what to time.
        device: where it computes; it is waited for.
        seconds: how long to repeat it at least; 0 for once.

    Returns:
        "runs", their number; "median" and "iqr" of their seconds by the clock; "cpu_seconds", of
        the processor, over all threads of this process; "rate", GFLOP/s of a 2048 x 2048 x 2048
        float32 matrix product right before or after, the better of the two; "matmul_gflop", how
        large a matrix product takes as long; "peak_memory", GiB, the most that was in use during
        the runs (the process's resident memory, or what torch had allocated on a GPU), and
        "extra_memory", how much more that is than before: both None where the system does not say.
    """
    calls = 0

    def counted() -> None:
        nonlocal calls
        calls += 1
        function()

    _give_back_freed_memory()
    before = _memory(device)
    peak_is_known = _reset_peak(device)
    rate = matmul_rate(device)
    start = time.process_time()
    timed = _timer(counted).blocked_autorange(min_run_time=seconds)
    cpu_seconds = (time.process_time() - start) / calls
    rate = max(rate, matmul_rate(device))
    peak = _peak_memory(device) if peak_is_known else None
    return {
        "runs": len(timed.raw_times),
        "median": timed.median,
        "iqr": timed.iqr,
        "cpu_seconds": cpu_seconds,
        "rate": rate,
        "matmul_gflop": timed.median * rate,
        "peak_memory": peak,
        "extra_memory": None if peak is None else peak - before,
    }


def matmul_rate(device: torch.device) -> float:
    """GFLOP/s of a large float32 matrix product, the best of several."""
    a, b = torch.ones(2, _SIDE, _SIDE, device=device).unbind(0)
    times = _timer(lambda: torch.mm(a, b)).blocked_autorange(min_run_time=_SECONDS).times
    return 2 * _SIDE**3 / min(times) / 1e9


def stage_seconds(function: Callable[[], object], model: OpenVocabSegmentor) -> dict[str, float]:
    """Call a function once under torch's profiler.

    Args:
        function: calls the model.
        model: its stages are told apart, all but its head, which is what they make up.

    Returns:
        Seconds by stage, in the order of the flow; the last one is "everything else".
    """
    stages = {name: module for name, module in model.stages().items() if name != "head"}
    with profile() as profiler, record_function("whole"), _Marks(stages):
        function()
    found = {event.key: event for event in profiler.key_averages()}
    seconds = {
        name: max(found[name].cpu_time_total, found[name].device_time_total) / 1e6
        for name in ("whole", *stages)
        if name in found
    }
    whole = seconds.pop("whole")
    return seconds | {"everything else": whole - sum(seconds.values())}


class _Marks(Hooked):
    """While it is open, the calls of modules bear their names in a profile."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(modules)
        self._open: dict[str, record_function] = {}

    def before(self, name: str, arguments: tuple) -> None:
        self._open[name] = record_function(name)
        self._open[name].__enter__()

    def after(self, name: str, arguments: tuple, output: Any) -> None:
        self._open[name].__exit__(None, None, None)


def _timer(function: Callable[[], object]) -> Timer:
    return Timer("f()", globals={"f": function}, num_threads=torch.get_num_threads())


def _give_back_freed_memory() -> None:
    """What earlier measurements left behind would count as in use."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # glibc keeps freed memory otherwise.
        ctypes.CDLL(None).malloc_trim(0)


def _memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / _GIB
    return psutil.Process().memory_info().rss / _GIB


def _reset_peak(device: torch.device) -> bool:
    """Let the peak begin at what is in use now; returns whether the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        # Linux: 5 sets the peak to what is resident now.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return sys.platform == "linux"


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
