"""What the tests of the demo's command line share."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fgaseg_d2_cli import segment
from tests.processes import PATIENCE

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "demo" / "demo.py"
SLOW = {"torch", "detectron2", "fgaseg_d2"}  # packages that take seconds to import
RANDOM = ("--opts", "MODEL.WEIGHTS", "")


def environment() -> dict[str, str]:
    """This process's, with the package on the path and one thread."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def demo(*arguments: object, cwd: Path, python: Sequence[str] = ()) -> subprocess.CompletedProcess:
    """Run the demo as a program of its own, with flags for Python itself."""
    return subprocess.run(
        [sys.executable, *python, str(DEMO), *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def imported(report: str) -> set[str]:
    """The packages that a program imported, by what ``python -X importtime`` reported."""
    lines = [line for line in report.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def last_line(text: str) -> str:
    """The last line, without the progress bar that was drawn over."""
    return text.strip().splitlines()[-1].rpartition("\r")[2]


def write_video(path: Path, frames: int = 5, size: tuple[int, int] = (64, 48)) -> None:
    """Write frames that grow brighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 40 * (number % 6), np.uint8))
    writer.release()


def write_picture(path: Path, size: tuple[int, int] = (60, 40), seed: int = 0) -> None:
    """Write noise, and make the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def in_process(monkeypatch, capfd) -> Callable[..., tuple[int, str, str]]:
    """The demo's main function in this process, which spares the imports.

    Returns:
        A function: arguments -> exit code, standard output, standard error.
    """
    # Handlers of earlier tests write to streams that pytest has closed, and say so on this one.
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = segment.COMMAND.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capfd.readouterr()

    return run
