#!/usr/bin/env python3
"""Run studies: rows that differ in one thing, several seeds each; then a table and a plot.

python tools/run_study.py components --seeds 0 1 2 --output output/studies
python tools/run_study.py all --weights clip.pth --iterations 200 --scenes 50
python tools/run_study.py kernel --only "3 x 3" "9 x 9" --opts MODEL.DEVICE cpu
python tools/run_study.py kernel --collect
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from command_line import Parser, count, path, place, positive, run_command, say

ROOT = Path(__file__).resolve().parent.parent


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = Parser(
        description="Train and test every row of a study with every seed, then write "
        "<output>/<study>.md, .json and .png. What is finished is kept: the same command continues "
        "after an interruption. Rows of several studies that train alike are trained once.",
        epilog="docs/STUDIES.md says what each study asks.",
    )
    add = parser.add_argument
    add(
        "studies", nargs="+", metavar="STUDY",
        help="components, p2t_depth, gamma, t2p_weight, kernel, decoder, early_rejection, "
        "clip_tuning, all of them ('all'), or YAML files of your own",
    )  # fmt: skip
    add("--seeds", nargs="+", type=count, default=[0, 1, 2], metavar="N", help="(default: 0 1 2)")
    add(
        "--output", type=path, default=Path("output/studies"), metavar="FOLDER",
        help="for tables, plots and runs (default: %(default)s)",
    )  # fmt: skip
    add(
        "--weights", type=place, metavar="FILE",
        help="checkpoint whose CLIP all rows start from (default: the model in the box)",
    )  # fmt: skip
    add(
        "--iterations", type=positive, metavar="N",
        help="of each training (default: the configuration's)",
    )  # fmt: skip
    add(
        "--scenes", type=positive, metavar="N",
        help="test on the first N of each test set (default: the configuration's)",
    )  # fmt: skip
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="ROW",
        help="run only these rows, by their names in the table",
    )
    add(
        "--jobs", type=positive, metavar="N",
        help="runs at once (default: one on each GPU, or on each CPU core up to four)",
    )  # fmt: skip
    add("--collect", action="store_true", help="run nothing: table and plot of what is there")
    add(
        "--opts", nargs=argparse.REMAINDER, metavar="KEY VALUE",
        help="configuration changes of all rows, in pairs; must come last",
    )  # fmt: skip
    return parser


def run_studies(options: argparse.Namespace) -> int:
    """Do what the command line asks for.

    Args:
        options: of the command line.

    Returns:
        Number of commands that failed.

    Raises:
        ValueError, OSError: something that a user can mend.
    """
    import filelock
    from studies import command

    from fgaseg_d2.io.file_errors import writing
    from fgaseg_d2.io.files import prepare_folder

    # Whoever ends this program ends what it has started.
    signal.signal(signal.SIGTERM, _interrupt)
    prepare_folder(options.output, "another --output")
    lock = filelock.FileLock(options.output / ".lock")
    try:
        with writing(options.output, "another --output"):
            lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(
            f"another run_study.py is at work in {options.output}; wait for it, give it several "
            "studies at once, or give another --output"
        ) from None
    with lock:
        return command.run(_request(options), ROOT / "train_net.py", say)


def _request(options: argparse.Namespace) -> Any:
    from studies.command import Request

    values = vars(options) | {"seeds": list(dict.fromkeys(options.seeds))}
    return Request(**values)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), run_studies, arguments)


if __name__ == "__main__":
    sys.exit(main())
