"""Measurements as a table, as JSON and as a plot."""

import dataclasses
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import detectron2
import torch

import fgaseg_d2
from fgaseg_d2.io.files import atomic_path

from .clock import Measurement

_COLUMNS = (
    ("what", "{what}"),
    ("variant", "{variant}"),
    ("precision", "{precision}"),
    ("classes", "{classes}"),
    ("median s", "{median:.3f}"),
    ("spread s", "{spread:.3f}"),
    ("CPU s", "{cpu:.3f}"),
    ("GFLOP/s", "{rate:.0f}"),
    ("matmul GFLOP", "{matmul_gflop:.0f}"),
    ("peak GiB", "{peak_memory}"),
    ("extra GiB", "{extra_memory}"),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """One workload's measurement.

    Args:
        what, variant, precision, classes: what was measured.
        measurement: the figures.
        stages: seconds of the stages of one further run, empty if they were not asked for.
    """

    what: str
    variant: str
    precision: str
    classes: int
    measurement: Measurement
    stages: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All figures in plain types."""
        m = self.measurement
        return {
            "what": self.what,
            "variant": self.variant,
            "precision": self.precision,
            "classes": self.classes,
            **dataclasses.asdict(m),
            "median": m.median,
            "spread": m.spread,
            "matmul_gflop": m.matmul_gflop,
            "extra_memory": m.extra_memory,
            "stages": dict(self.stages),
        }


def table(results: Sequence[Result]) -> str:
    """Lines of a table, one result each."""
    rows = [[name for name, _ in _COLUMNS]]
    rows += [[cell.format_map(_cells(result)) for _, cell in _COLUMNS] for result in results]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines)


def stage_table(result: Result) -> str:
    """Lines of the seconds and shares of the stages that did something."""
    total = sum(result.stages.values()) or 1.0
    width = max(map(len, result.stages), default=0)
    return "\n".join(
        f"{name:{width}}  {seconds:8.3f} s  {100 * seconds / total:5.1f} %"
        for name, seconds in result.stages.items()
        if seconds
    )


def document(results: Sequence[Result], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything in plain types, for a JSON file.

    Args:
        results: the measurements.
        settings: how they were made.

    Returns:
        "machine", "versions", "settings" and "results".
    """
    return {
        "machine": machine(),
        "versions": versions(),
        "settings": dict(settings),
        "results": [result.as_dict() for result in results],
    }


def versions() -> dict[str, str]:
    """Versions of this package and of what figures depend on."""
    return {
        "fgaseg_d2": fgaseg_d2.__version__,
        "detectron2": detectron2.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def machine() -> dict[str, Any]:
    """The processor, the threads that torch uses, and the GPU if there is one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def plot(results: Sequence[Result], path: Path) -> None:
    """Draw the cost against the number of classes, a line for each workload.

    Raises:
        OSError: the file cannot be written.
    """
    # It takes a second to load, and few runs draw.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="classes", ylabel="seconds x matmul rate (GFLOP)")
    for key in dict.fromkeys((r.what, r.variant, r.precision) for r in results):
        line = [r for r in results if (r.what, r.variant, r.precision) == key]
        line.sort(key=lambda r: r.classes)
        costs = [r.measurement.matmul_gflop for r in line]
        axes.plot([r.classes for r in line], costs, marker="o", label=" ".join(key))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _cells(result: Result) -> dict[str, Any]:
    m = result.measurement
    return result.as_dict() | {
        "cpu": statistics.median(m.cpu_seconds),
        "rate": statistics.median(m.rates),
        "peak_memory": _gib(m.peak_memory),
        "extra_memory": _gib(m.extra_memory),
    }


def _gib(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _processor() -> str:
    """The processor's name, which Python's platform module does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
