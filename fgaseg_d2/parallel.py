"""Processes for data: a function over many items with progress; none outlives the program."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import NoReturn, TypeVar

import cv2

from .io.partial_files import when_written
from .io.progress import with_progress

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_CHUNK = 16
_MOST_WORKERS = 1024
_PATIENCE = 10.0  # seconds that a process has to finish the file that it is writing


def available_processors() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(wanted: int | None, items: int) -> int:
    """How many processes to start, 1 for none beside this one.

    Args:
        wanted: None for as many as there are processors.
        items: that there are to work on.
    """
    if multiprocessing.current_process().daemon:
        return 1  # Python lets a daemon, such as a loader's worker, start no processes
    wanted = available_processors() if wanted is None else wanted
    return max(1, min(wanted, items, _MOST_WORKERS))


def each(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    workers: int | None,
    title: str,
    unit: str = "file",
) -> Iterator[_Result]:
    """Apply a function to every item, and show progress on standard error.

    Whatever ends the iteration early, an interruption from the keyboard as well, stops the
    processes, in the middle of an item but not of a file that
    :func:`fgaseg_d2.io.files.atomic_path` is writing; they also end when this process is killed.

    Args:
        function: picklable; what it raises is raised here.
        items: picklable.
        workers: number of processes, None for as many as there are processors; 1, or being a
            daemon, which may start none, runs the function in this one.
        title: named in the progress.
        unit: what an item is, for the progress bar.

    Yields:
        The results in the order of the items.

    Raises:
        OSError: a process died.
    """
    workers = worker_count(workers, len(items))
    if workers < 2:
        yield from with_progress(map(function, items), len(items), unit, title)
        return
    # Starting anew would import PyTorch in each of them; macOS forbids forking.
    method = "fork" if sys.platform == "linux" else "spawn"
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker)
    others = set(multiprocessing.active_children())
    try:
        chunk = max(1, min(_CHUNK, len(items) // (4 * workers)))
        results = pool.map(function, items, chunksize=chunk)
        yield from with_progress(results, len(items), unit, title)
    except BrokenProcessPool as error:
        raise OSError(
            "a process was stopped from outside, perhaps for want of memory; run the same command "
            "again with fewer --workers to continue"
        ) from error
    except BaseException:
        _stop(set(multiprocessing.active_children()) - others)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _stop(processes: Collection[BaseProcess]) -> None:
    """End processes that may still have work, or wait for a dead disk."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + _PATIENCE
    left = [process.sentinel for process in processes]
    while left and (ended := wait(left, max(0.0, end - time.monotonic()))):
        left = [sentinel for sentinel in left if sentinel not in ended]
    for process in processes:
        if process.sentinel in left:
            process.kill()


def end_with_parent(worker_id: int = 0) -> None:
    """Make this process end when the one that started it has ended, however that came.

    PyTorch's workers look for that themselves, but not if it happens while they start: they then
    wait for ever, and with them whoever reads the output of the run.

    Args:
        worker_id: part of the signature of DataLoader's worker_init_fn; not used.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end() -> None:
        parent.join()
        when_written(_end)
        # The disk may be dead.
        time.sleep(_PATIENCE)
        _end()

    threading.Thread(target=end, daemon=True).start()


def _end() -> NoReturn:
    os._exit(1)


def _start_worker() -> None:
    # Ctrl-C reaches every process; the first one stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: when_written(_end))
    cv2.setNumThreads(0)
    end_with_parent()
