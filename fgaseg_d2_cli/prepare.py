"""Turn the raw downloads of the benchmarks into label files that hold class indices.

fgaseg-d2 prepare ade20k_150 pascal_voc --root datasets
fgaseg-d2 prepare pascal_voc --check
"""

import argparse
import os
import sys
from pathlib import Path

from .command_line import Command, Parser, between, path, say

NAMES = (
    "coco_stuff",
    "ade20k_150",
    "ade20k_847",
    "pascal_context_59",
    "pascal_context_459",
    "pascal_voc",
    "pascal_voc_21",
    "pascal_context_60",
    "coco_object_81",
    "cityscapes_19",
)
ROOT_VARIABLE = "DETECTRON2_DATASETS"


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        choices=(*NAMES, "all"),
        help=f"{', '.join(NAMES)} (makes pascal_voc_20 and pascal_voc_20b), or all",
    )
    parser.add_argument(
        "--root",
        type=path,
        metavar="DIR",
        help=f"folder of the datasets (default: the environment variable {ROOT_VARIABLE}, or "
        "datasets)",
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        choices=("train", "val", "train_aug"),
        default=(),
        help="(default: val; for coco_stuff train and val, as far as they are there); train_aug, "
        "of pascal_voc alone, adds SBD's masks to train",
    )
    parser.add_argument(
        "--workers",
        type=between(1, 1024),
        metavar="N",
        help="processes (default: one for each processor)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="read every prepared file and compare it with its picture; writes nothing",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="count warnings as errors, such as another number of files than the official one",
    )


def prepare(options: argparse.Namespace) -> None:
    """Prepare or check what the command line names, and sum up.

    Args:
        options: of the command line.

    Raises:
        ValueError: something was wrong; each error was told before.
        OSError: no such root, or a file cannot be written.
        KeyboardInterrupt: with a message.
    """
    from tqdm import tqdm

    from fgaseg_d2.data import preparation

    root = options.root or path(os.environ.get(ROOT_VARIABLE, "datasets"))
    findings = preparation.Findings(lambda line: tqdm.write(line, sys.stderr), options.strict)
    action = preparation.check_split if options.check else preparation.prepare_split
    names = NAMES if "all" in options.names else dict.fromkeys(options.names)
    workers = options.workers or preparation.available_processors()
    try:
        results = preparation.each_split(action, names, root, options.splits, workers, findings)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; run the same command again to continue") from None
    for result in results:
        there = f"{result.good - result.made:,} already there"
        good = f"{result.good:,} good" if options.check else f"{result.made:,} made, {there}"
        say(
            f"{result.dataset}: {good}, {result.bad:,} bad; officially {result.official:,}; "
            f"labels in {result.folder}"
        )
    if findings.problems:
        count = len(findings.problems)
        raise ValueError(
            f"{count} {'error, named' if count == 1 else 'errors, all named'} above; mend "
            f"{'it' if count == 1 else 'them'} and run the same command again"
        )
    sys.stdout.write(_next_step([result.dataset for result in results], root, options.root))


def _next_step(datasets: list[str], root: Path, given: Path | None) -> str:
    """The command that evaluates what is prepared."""
    tests = [name for name in datasets if name.endswith("_val")]
    if not tests:
        return ""
    variable = f"{ROOT_VARIABLE}={root.absolute()} " if given else ""
    listed = ", ".join(f"'{name}'" for name in tests)
    return (
        f"Evaluate with: {variable}fgaseg-d2 evaluate --config-file benchmarks_vitb16 "
        "MODEL.WEIGHTS model.pth "
        f'DATASETS.TEST "({listed},)"\n'
    )


COMMAND = Command(
    "Prepare benchmarks for training and evaluation; docs/DATASETS.md says where the downloads "
    "come from and where they belong. Finished files are kept, so the same command continues an "
    "interrupted run. Files with errors are named, the others are prepared, and the exit code is "
    "then 1.",
    _add_arguments,
    prepare,
)
