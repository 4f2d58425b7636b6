"""Runs the commands of studies, several at once, and stops them when it is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from speed.machine import machine, versions

from fgaseg_d2.checkpoint.files import read_checkpoint, write_checkpoint
from fgaseg_d2.io.file_errors import writing
from fgaseg_d2.io.files import prepare_folder, write_json

from .plan import DONE, FAILED, Run, Step, claim

# glibc returns large tensors to the system after every use, which costs a third of the time.
_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": "100000000",
}
_PATIENCE = 10.0  # seconds that a process has to end by itself


@dataclass(frozen=True)
class Slot:
    """Where one command at a time runs.

    Attributes:
        variables: of its environment.
        threads: of the CPU.
    """

    variables: dict[str, str]
    threads: int


def make_slots(jobs: int | None, device: str) -> list[Slot]:
    """Share out the machine.

    Args:
        jobs: commands at once. None: as many as there are GPUs, or cores, up to four.
        device: MODEL.DEVICE of the runs.

    Raises:
        ValueError: more jobs than GPUs or cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    gpus = torch.cuda.device_count() if device.startswith("cuda") else 0
    most, what = (gpus, "GPUs") if gpus else (cores, "CPU cores")
    count = (gpus or min(cores, 4)) if jobs is None else jobs
    if not 1 <= count <= most:
        raise ValueError(f"expected --jobs 1 .. {most}, the number of {what}, got {count}")
    # Whoever sets the variable knows better.
    threads = int(os.environ.get("OMP_NUM_THREADS", max(1, cores // count)))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else [str(index) for index in range(gpus)]
    return [
        Slot(
            {"OMP_NUM_THREADS": str(threads)}
            | ({"CUDA_VISIBLE_DEVICES": names[index]} if gpus else {}),
            threads,
        )
        for index in range(count)
    ]


@dataclass
class _Task:
    """A training with the tests of its model, done one after the other."""

    steps: list[Step]
    labels: list[str] = field(default_factory=list)


@dataclass
class _Call:
    """A command that runs."""

    task: _Task
    step: Step
    slot: Slot
    process: subprocess.Popen
    start: float


class Jobs:
    """Runs what is not finished.

    Args:
        train_net: path of train_net.py.
        slots: of :func:`make_slots`.
        say: is given lines for people.
    """

    def __init__(self, train_net: Path, slots: Sequence[Slot], say: Callable[[str], None]):
        self.train_net = train_net
        self.slots = list(slots)
        self.say = say
        self.calls: list[_Call] = []
        self.failures = 0

    def run(self, runs: Iterable[Run]) -> int:
        """Run all that is not finished, in order; ends what it has started when interrupted.

        Args:
            runs: may share trainings and tests.

        Returns:
            Number of commands that failed.

        Raises:
            OSError: a folder cannot be written.
        """
        waiting = _tasks(runs)
        total, free, begun = len(waiting), list(self.slots), time.monotonic()
        done = 0
        try:
            while waiting or self.calls:
                while waiting and free:
                    self._start(waiting.pop(0), free.pop(0))
                time.sleep(0.1)
                for call in [c for c in self.calls if c.process.poll() is not None]:
                    self.calls.remove(call)
                    if self._close(call) and call.task.steps:
                        self._start(call.task, call.slot)
                        continue
                    free.append(call.slot)
                    done += 1
                    rest = (time.monotonic() - begun) / done * (total - done) / 60
                    self.say(f"{done} of {total} done, about {rest:.0f} min left")
        finally:
            self._stop()
        return self.failures

    def _start(self, task: _Task, slot: Slot) -> None:
        step = task.steps.pop(0)
        if "--resume" in step.arguments:
            claim(step)
        command = [sys.executable, str(self.train_net), *step.arguments]
        prepare_folder(step.folder, "another --output")
        # Appending, so that the log of an interrupted attempt stays.
        with writing(step.folder, "another --output"), open(step.log, "ab") as log:
            (step.folder / FAILED).unlink(missing_ok=True)
            process = subprocess.Popen(
                [*command, "OUTPUT_DIR", str(step.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**_MALLOC, **os.environ, **slot.variables},
            )
        self.calls.append(_Call(task, step, slot, process, time.monotonic()))

    def _close(self, call: _Call) -> bool:
        """Note how a command ended; returns whether it succeeded."""
        step, name = call.step, call.task.labels[0]
        seconds = time.monotonic() - call.start
        missing = [path for path in step.products if not path.is_file()]
        if call.process.returncode or missing:
            reason = _last_error(step.log) or f"exit code {call.process.returncode}"
            write_json(step.folder / FAILED, {"reason": reason})
            self.failures += 1
            self.say(f"failed: {name}: {reason} (log: {step.log})")
            return False
        if "--resume" in step.arguments:
            _keep_the_model_only(step.products[0])
        write_json(step.folder / DONE, self._notes(call, seconds))
        what = "trained" if "--resume" in step.arguments else "tested"
        self.say(f"{name}: {what} in {seconds:.0f} s")
        return True

    def _notes(self, call: _Call, seconds: float) -> dict[str, Any]:
        return {
            "seconds": round(seconds, 2),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "jobs": len(self.slots),
            "machine": {**machine(), "threads": call.slot.threads},
            "versions": versions(),
        }

    def _stop(self) -> None:
        for call in self.calls:
            call.process.terminate()
        end = time.monotonic() + _PATIENCE
        for call in self.calls:
            try:
                call.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                call.process.kill()
                call.process.wait()
        self.calls.clear()


def _tasks(runs: Iterable[Run]) -> list[_Task]:
    """One task for each model that is to be trained or tested, in the order of the runs."""
    tasks: dict[Path, _Task] = {}
    for run in runs:
        if run.finished:
            continue
        task = tasks.setdefault(run.training.folder, _Task([]))
        known = {step.folder for step in task.steps}
        task.labels.append(f"{run.study}, {run.row}, seed {run.seed}")
        for step in (run.training, run.test):
            if step.folder not in known and not step.finished:
                task.steps.append(step)
    return list(tasks.values())


def _last_error(log: Path) -> str:
    """The line in which a command said what went wrong, "" for none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line[7:] for line in reversed(lines) if line.startswith("error: ")), "")


def _keep_the_model_only(model: Path) -> None:
    """Drop what only a training that goes on needs: other checkpoints, the optimiser's state."""
    write_checkpoint(model, read_checkpoint(str(model))["model"])
    for path in model.parent.glob("model_*.pth"):
        if path != model:
            path.unlink()
