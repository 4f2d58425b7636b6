"""Starts one process, several, or joins those that torchrun started."""

import contextlib
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist
from detectron2 import engine
from detectron2.utils import comm
from torch.multiprocessing import ProcessRaisedException

from . import errors

_TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_MOST_PROCESSES = 256  # on CPUs, where nothing else keeps a slip from filling the memory
_PATIENCE = 20.0  # seconds in which the process that caused the end can say so


def launch(
    main: Callable[..., Any],
    processes: int,
    machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    args: tuple = (),
) -> None:
    """Call ``main(*args)`` in every process of a training run.

    Under torchrun, which sets RANK and its like, this process is one of them and the other
    arguments do not count. NCCL connects processes on GPUs, gloo those on CPUs.

    Args:
        main: picklable function.
        processes: of this machine, 1 or more; on a machine with CUDA at most its number of GPUs.
        machines: number of machines.
        machine_rank: which of them this is, 0 .. machines - 1.
        dist_url: where the processes meet; "auto" finds a free port, on one machine only.
        args: of main.

    Raises:
        ValueError: numbers that do not fit together or the machine.
        ProcessFailure: one of several processes ended with an error that a user can mend.
    """
    if all(variable in os.environ for variable in _TORCHRUN_VARIABLES):
        _join_torchrun(main, args)
        return
    _check_numbers(processes, machines, machine_rank, dist_url)
    _without_notes_about_ended_processes()
    messages, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    try:
        engine.launch(
            _main_with_threads,
            processes,
            num_machines=machines,
            machine_rank=machine_rank,
            dist_url=dist_url,
            args=(main, processes, args, sender),
        )
    except ProcessRaisedException as error:
        # The first knows why; others may have failed because it had gone.
        if messages.poll():
            message = messages.recv_bytes().decode("utf-8", "surrogatepass")
            raise errors.ProcessFailure(message, error) from error
        raise
    finally:
        messages.close()
        sender.close()


def _without_notes_about_ended_processes() -> None:
    """Keep PyTorch and Python from naming what is tidied up after a process that failed."""
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    # Read by the process that does the tidying.
    filters = [os.environ.get("PYTHONWARNINGS", ""), "ignore:resource_tracker:UserWarning"]
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, filters))


def hide_gpus_unless_wanted(opts: list[str]) -> None:
    """Where the command line sets MODEL.DEVICE to the CPU, let processes connect as on a CPU.

    Must be called before anything asks for CUDA.

    Args:
        opts: configuration keys and values in turn.
    """
    settings = dict(zip(opts[::2], opts[1::2], strict=False))
    if settings.get("MODEL.DEVICE") == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _check_numbers(processes: int, machines: int, machine_rank: int, dist_url: str) -> None:
    gpus = torch.cuda.device_count()
    most = gpus or _MOST_PROCESSES
    if not 1 <= processes <= most:
        limit = f"1 .. {most}{', the GPUs of this machine' if gpus else ''}"
        raise ValueError(f"expected --num-gpus {limit}, got {processes}")
    if machines < 1:
        raise ValueError(f"expected --num-machines 1 or more, got {machines}")
    if not 0 <= machine_rank < machines:
        raise ValueError(
            f"expected --machine-rank 0 .. {machines - 1} for --num-machines {machines}, got "
            f"{machine_rank}"
        )
    if machines > 1 and dist_url == "auto":
        raise ValueError(
            "expected --dist-url with --num-machines above 1; give the same address of machine 0 "
            "on all, such as tcp://10.0.0.1:29500"
        )


def _main_with_threads(
    main: Callable[..., Any], processes: int, args: tuple, sender: Connection
) -> None:
    """Share the cores of a machine without GPUs between its processes, then call main."""
    if processes > 1 and not torch.cuda.is_available() and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    try:
        _one_of_several(main, args)
    except Exception as error:
        message = errors.one_line(error)
        if message is not None and comm.get_world_size() > 1:
            # Short enough to be written at once, whoever else writes.
            with contextlib.suppress(OSError):
                sender.send_bytes(message.encode("utf-8", "surrogatepass"))
        raise


def _one_of_several(main: Callable[..., Any], args: tuple) -> None:
    """Call main; of several processes, only the one that knows why the run ended should say so."""
    try:
        main(*args)
    except RuntimeError as error:
        if comm.get_world_size() == 1 or not errors.is_lost_connection(error):
            raise
        time.sleep(_PATIENCE)  # whoever started this process ends it now
        raise errors.LostProcessError from error


def _join_torchrun(main: Callable[..., Any], args: tuple) -> None:
    local_rank = int(os.environ["LOCAL_RANK"])
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local_rank)
    # Both, because MODEL.DEVICE may be the CPU on a machine with GPUs.
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", init_method="env://")
    try:
        comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))
        comm.synchronize()
        _one_of_several(main, args)
    finally:
        dist.destroy_process_group()
