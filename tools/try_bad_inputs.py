#!/usr/bin/env python3
"""Try thousands of bad inputs, each in a process of its own, and count how each was answered.

python tools/try_bad_inputs.py
python tools/try_bad_inputs.py --kinds checkpoint picture --inputs 500 --seed 7
python tools/try_bad_inputs.py --only checkpoint:12
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import Parser, count, positive, run_command, say

if TYPE_CHECKING:
    from bad_inputs.workers import Tried

# As in bad_inputs.kinds, which --help does not wait for.
KINDS = (
    "checkpoint",
    "configuration",
    "picture",
    "label",
    "vocabulary",
    "command",
    "dataset",
    "prediction",
)
ROOT = Path(__file__).resolve().parent.parent


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = Parser(
        description="Give damaged, foreign and impossible inputs to the public functions and "
        "programs, each in a process of its own. An answer is that it works, or one line that says "
        "what was expected; a traceback, a hang, a crash or memory without bound is none, and the "
        "exit code is then 1.",
        epilog="docs/RELIABILITY.md says what is promised. The same seed gives the same inputs.",
    )
    add = parser.add_argument
    add("--inputs", type=positive, default=2400, metavar="N", help="in all (default: %(default)s)")
    add(
        "--kinds",
        nargs="+",
        choices=KINDS,
        default=KINDS,
        metavar="KIND",
        help=f"{', '.join(KINDS)} (default: all)",
    )
    add(
        "--seed",
        type=count,
        default=0,
        metavar="N",
        help="another gives other inputs (default: %(default)s)",
    )
    add(
        "--seconds", type=positive, metavar="N",
        help="begin no further input after so many processor seconds (default: no bound)",
    )  # fmt: skip
    add("--only", metavar="KIND:NUMBER", help="this one input, with all that it writes")
    add(
        "--patience", type=positive, default=600, metavar="SECONDS",
        help="how long an input may wait without computing (default: %(default)s)",
    )  # fmt: skip
    add(
        "--memory", type=positive, default=1024, metavar="MIB",
        help="what an input may take beyond the loaded model (default: %(default)s)",
    )  # fmt: skip
    return parser


def try_all(options: argparse.Namespace) -> int:
    """Do what the command line asks for.

    Args:
        options: of :func:`build_parser`.

    Returns:
        Number of inputs without an answer.

    Raises:
        ValueError: --only names no input.
    """
    inputs = list(_inputs(options))
    _prepare_process()
    from bad_inputs import doors, material, workers

    doors.import_everything()
    limits = workers.Limits(wall_seconds=options.patience, memory=options.memory)
    with tempfile.TemporaryDirectory(prefix="bad_inputs_") as name:
        folder = Path(name)
        (folder / "shared").mkdir()
        shared = material.make_material(folder / "shared")
        from bad_inputs.kinds import maker

        tally = Counter[tuple[str, str]]()
        seconds = 0.0
        for kind, number in inputs:
            if options.seconds and seconds > options.seconds:
                say(f"{options.seconds} processor seconds are over: the other inputs are left out")
                break
            make = maker(kind, number, options.seed, shared)
            tried = workers.try_input(make, folder / "one", limits)
            seconds += tried.seconds
            tally[kind, tried.outcome.verdict] += 1
            if options.only:
                say(f"{tried.output}\n{tried.text}\n{tried.outcome.verdict}: {tried.outcome.note}")
            elif not tried.outcome.good:
                say(_complaint(kind, number, options.seed, tried))
    say(_table(tally))
    say(f"seed {options.seed}, {seconds:.0f} processor seconds")
    return _bad(tally)


def _inputs(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Kinds and numbers of the inputs; kinds take turns."""
    if options.only:
        kind, _, number = options.only.partition(":")
        if kind not in KINDS or not number.isdecimal():
            raise ValueError(
                f"expected --only KIND:NUMBER, such as checkpoint:12, got {options.only!r}; the "
                f"kinds are {', '.join(KINDS)}"
            )
        yield kind, int(number)
        return
    kinds = list(dict.fromkeys(options.kinds))
    for position in range(options.inputs):
        yield kinds[position % len(kinds)], position // len(kinds)


def _prepare_process() -> None:
    """What must hold before the libraries are imported: no network, and where programs are."""
    import os

    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }
    for folder in (ROOT, ROOT / "demo"):
        if str(folder) not in sys.path:
            # Before an installed package of another checkout.
            sys.path.insert(0, str(folder))


def _complaint(kind: str, number: int, seed: int, tried: Tried) -> str:
    """What went wrong, and how to see it again."""
    outcome = tried.outcome
    return (
        f"{outcome.verdict}: {kind}, {tried.text!r}: {outcome.note}\n"
        f"    python tools/try_bad_inputs.py --seed {seed} --only {kind}:{number}"
    )


def _bad(tally: Counter[tuple[str, str]]) -> int:
    from bad_inputs.judging import GOOD

    return sum(times for (_, verdict), times in tally.items() if verdict not in GOOD)


def _table(tally: Counter[tuple[str, str]]) -> str:
    """Inputs of each kind by how they ended."""
    from bad_inputs.judging import VERDICTS

    kinds = [kind for kind in KINDS if any(kind == one for one, _ in tally)]
    rows = [["kind", "inputs", *VERDICTS]]
    for kind in (*kinds, "all"):
        counts = [
            sum(n for (one, verdict), n in tally.items() if verdict == v and kind in (one, "all"))
            for v in VERDICTS
        ]
        rows.append([kind, str(sum(counts)), *map(str, counts)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if position == 0 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), try_all, arguments)


if __name__ == "__main__":
    sys.exit(main())
