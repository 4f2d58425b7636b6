#!/usr/bin/env python3
"""Measure how long a model takes, and how much memory.

python tools/benchmark.py
python tools/benchmark.py --classes 20 150 847 --what forward sliding --json speed.json
python tools/benchmark.py --config-file tiny --opts MODEL.FGASEG.KEEP_CLASSES 2
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command_line import Parser, between, count, path, picture_file, run_command, say

WHAT = ("forward", "sliding", "text", "training", "evaluation", "startup")
_COLUMNS = {
    "what": "what",
    "classes": "classes",
    "runs": "runs",
    "median": "median s",
    "iqr": "spread s",
    "cpu_seconds": "CPU s",
    "rate": "GFLOP/s",
    "matmul_gflop": "matmul GFLOP",
    "peak_memory": "peak GiB",
    "extra_memory": "extra GiB",
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = Parser(
        description="Measure a model with random weights: seconds by the clock (median and "
        "interquartile range) and of the processor, memory, and seconds times the machine's own "
        "rate in a large float32 matrix product, which makes machines comparable. Nothing else "
        "should run meanwhile.",
    )
    add = parser.add_argument
    add(
        "--config-file", default="vitb16_384", metavar="FILE",
        help="name or path of a configuration (default: %(default)s)",
    )  # fmt: skip
    add(
        "--classes", nargs="+", type=between(1, 100_000), default=[20, 150, 847], metavar="N",
        help="numbers of words to measure with (default: 20 150 847)",
    )  # fmt: skip
    add(
        "--what", nargs="+", choices=WHAT, default=["forward"],
        help="forward: the picture as a whole; sliding: by windows; text: the words' embeddings; "
        "training: one step; evaluation: eight pictures from files to figures; startup: a new "
        "process until it is ready (default: forward)",
    )  # fmt: skip
    add("--device", default="cpu", help="such as cpu or cuda (default: %(default)s)")
    add(
        "--threads", type=between(1, 1024), metavar="N",
        help="threads of the CPU (default: PyTorch's)",
    )  # fmt: skip
    add(
        "--seconds", type=count, default=5, metavar="N",
        help="repeat each for so long at least, of which the median counts; once before it is not "
        "timed (default: %(default)s)",
    )  # fmt: skip
    add(
        "--size", nargs=2, type=between(1, 8192), default=[384, 384], metavar=("HEIGHT", "WIDTH"),
        help="of the picture, in pixels (default: 384 384)",
    )  # fmt: skip
    add(
        "--batch", type=between(1, 1024), default=4, metavar="N",
        help="pictures of a training step (default: %(default)s)",
    )  # fmt: skip
    add("--profile", action="store_true", help="also say what each stage of the model takes")
    add("--json", type=path, metavar="FILE", help="write all figures to a JSON file")
    add("--plot", type=picture_file, metavar="FILE", help="draw cost against classes, as a PNG")
    add(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE",
        help="configuration changes in pairs, such as TEST.AMP_DTYPE bfloat16; must come last",
    )  # fmt: skip
    return parser


def benchmark(options: argparse.Namespace) -> None:
    """Measure all that was asked for, and print and write it.

    Args:
        options: of the command line.

    Raises:
        ValueError: a configuration, device or key that cannot be used.
        OSError: a file cannot be written.
    """
    import torch
    from speed.machine import machine, versions

    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.io.files import write_json

    if options.threads:
        torch.set_num_threads(options.threads)
    device = load_config(options.config_file, options.opts, "", options.device).MODEL.DEVICE
    say(", ".join(f"{name} {value}" for name, value in machine().items() if value))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for what, classes in itertools.product(options.what, options.classes):
            # Whose words are never looked at.
            if what != "startup" or classes == options.classes[0]:
                results.append(_measure(options, torch.device(device), what, classes, Path(folder)))
                say(_table(results[-1:]).splitlines()[-1])
    say(f"\n{_table(results)}")
    for result in results:
        if result["stages"]:
            say(f"\n{result['what']}, {result['classes']} classes\n{_shares(result['stages'])}")
    if options.json:
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
        document = {"machine": machine(), "versions": versions(), "settings": settings}
        write_json(options.json, document | {"results": results})
    if options.plot:
        _plot(results, options.plot)


def _measure(
    options: argparse.Namespace, device: Any, what: str, classes: int, folder: Path
) -> dict[str, Any]:
    from speed import measuring, workloads

    size = tuple(options.size)
    bench = workloads.Bench(
        options.config_file, options.opts, options.device, size, options.batch, folder
    )
    function = getattr(bench, what)(classes)
    result = {"what": what, "classes": classes if what != "startup" else 0}
    result |= measuring.measure(function, device, options.seconds)
    profiled = options.profile and bench.model is not None
    return result | {"stages": measuring.stage_seconds(function, bench.model) if profiled else {}}


def _table(results: Sequence[dict[str, Any]]) -> str:
    """Lines of a table, one result each."""
    from tabulate import tabulate

    rows = [[result[key] for key in _COLUMNS] for result in results]
    formats = ("", "", "", ".3f", ".3f", ".3f", ".0f", ".0f", ".2f", ".2f")
    return tabulate(rows, list(_COLUMNS.values()), floatfmt=formats, missingval="-")


def _shares(stages: dict[str, float]) -> str:
    """Lines of the seconds and shares of the stages that did something."""
    from tabulate import tabulate

    total = sum(stages.values())
    rows = [(name, took, 100 * took / total) for name, took in stages.items() if took]
    return tabulate(rows, ("stage", "s", "%"), floatfmt=("", ".3f", ".1f"))


def _plot(results: Sequence[dict[str, Any]], target: Path) -> None:
    """Draw the cost against the number of classes, a line for each workload."""
    from matplotlib.figure import Figure

    from fgaseg_d2.io.files import atomic_path

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="classes", ylabel="seconds x matmul rate (GFLOP)")
    for what in dict.fromkeys(result["what"] for result in results):
        points = sorted((r["classes"], r["matmul_gflop"]) for r in results if r["what"] == what)
        axes.plot(*zip(*points, strict=True), marker="o", label=what)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), benchmark, arguments)


if __name__ == "__main__":
    sys.exit(main())
