#!/usr/bin/env python3
"""Measure how long a model takes, and how much memory.

python tools/benchmark.py
python tools/benchmark.py --classes 20 150 847 --what forward sliding --json speed.json
python tools/benchmark.py --config-file tiny --variant exact keep2 --precision float32 bfloat16
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command_line import Parser, between, path, picture_file, run_command, say

WHAT = ("forward", "sliding", "text", "training", "evaluation", "startup")
VARIANTS = ("exact", "keep1", "keep2", "keep4", "fast", "checkpointing")
PRECISIONS = ("float32", "bfloat16", "float16")


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = Parser(
        description="Measure a model with random weights: seconds, processor time, memory, and "
        "seconds times the machine's own rate in a large float32 matrix product, which makes "
        "machines comparable. Nothing else should run meanwhile.",
    )
    parser.add_argument(
        "--config-file", default="vitb16_384", metavar="FILE",
        help="name or path of a configuration (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--classes", nargs="+", type=between(1, 100_000), default=[20, 150, 847], metavar="N",
        help="numbers of words to measure with (default: 20 150 847)",
    )  # fmt: skip
    parser.add_argument(
        "--what", nargs="+", choices=WHAT, default=["forward"],
        help="forward: the picture as a whole; sliding: by windows; text: the words' embeddings; "
        "training: one step; evaluation: pictures from files to figures; startup: a new process "
        "until it is ready (default: forward)",
    )  # fmt: skip
    parser.add_argument(
        "--variant", nargs="+", choices=VARIANTS, default=["exact"],
        help="exact: as configured; keepN: MODEL.FGASEG.KEEP_CLASSES N; fast: early rejection, "
        "MODEL.FGASEG.FAST.ENABLED; checkpointing: gradient checkpointing (default: exact)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=["float32"],
        help="numbers to compute with, by autocast (default: float32)",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="cpu", help="such as cpu or cuda (default: %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=between(1, 1024),
        metavar="N",
        help="threads of the CPU (default: PyTorch's)",
    )
    parser.add_argument(
        "--runs", type=between(1, 10_000), default=3, metavar="N",
        help="timed runs of each, of which the median counts (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--warmup", type=between(0, 10_000), default=1, metavar="N",
        help="runs before them that are not timed (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--size", nargs=2, type=between(1, 8192), default=[384, 384], metavar=("HEIGHT", "WIDTH"),
        help="of the picture, in pixels (default: 384 384)",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=between(1, 1024), default=4, metavar="N",
        help="pictures of a training step (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=between(1, 100_000), default=8, metavar="N",
        help="pictures of an evaluation (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--profile", action="store_true", help="also say what each stage of the model takes"
    )
    parser.add_argument(
        "--json", type=path, metavar="FILE", help="write all figures to a JSON file"
    )
    parser.add_argument(
        "--plot", type=picture_file, metavar="FILE", help="draw cost against classes, as a PNG"
    )
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE",
        help="configuration changes in pairs; must come last",
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
    from speed import report

    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.io.files import write_json

    if options.threads:
        torch.set_num_threads(options.threads)
    cfg = load_config(options.config_file, options.opts, "", options.device)
    device = torch.device(cfg.MODEL.DEVICE)
    say(", ".join(f"{name} {value}" for name, value in report.machine().items() if value))
    results: list[report.Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for variant in options.variant:
            for precision in options.precision:
                for what in options.what:
                    for classes in options.classes if what != "startup" else [0]:
                        result = _measure(
                            options, device, variant, precision, what, classes, Path(folder)
                        )
                        results.append(result)
                        say(report.table([result]).splitlines()[-1])
    say("")
    say(report.table(results))
    for result in results:
        if result.stages:
            say(f"\n{result.what} {result.variant} {result.precision}, {result.classes} classes")
            say(report.stage_table(result))
    if options.json:
        write_json(options.json, report.document(results, _plain(options)))
    if options.plot:
        report.plot(results, options.plot)


def _measure(
    options: argparse.Namespace,
    device: Any,
    variant: str,
    precision: str,
    what: str,
    classes: int,
    folder: Path,
) -> Any:
    from speed import clock, report, stages, workloads

    bench = workloads.Bench(
        options.config_file,
        options.opts,
        variant,
        precision,
        options.device,
        tuple(options.size),
        options.batch,
        options.pictures,
        folder,
    )
    function = bench.workload(what, classes)
    measurement = clock.measure(function, device, options.runs, options.warmup)
    seconds = {}
    if options.profile and bench.model is not None:
        seconds = stages.stage_seconds(function, bench.model, device)
    return report.Result(what, variant, precision, classes, measurement, seconds)


def _plain(options: argparse.Namespace) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), benchmark, arguments)


if __name__ == "__main__":
    sys.exit(main())
