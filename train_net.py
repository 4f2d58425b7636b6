#!/usr/bin/env python3
"""Trains or evaluates a model: reads the command line, sets up and launches, nothing else."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "tools"))
from command_line import Parser, let_threads_sleep  # noqa: E402 (beside the programs of tools/)

# Libraries' notes to their own developers. Here, because processes that are started import this
# file first, then the libraries.
warnings.filterwarnings("ignore", category=FutureWarning)

_EPILOG = """\
Examples:
  %(prog)s --config-file configs/fgaseg/tiny.yaml --num-gpus 2 SOLVER.BASE_LR 1e-4
  %(prog)s --config-file configs/fgaseg/tiny.yaml --resume
  %(prog)s --config-file configs/fgaseg/tiny.yaml --eval-only MODEL.WEIGHTS model.pth
  %(prog)s --config-file configs/fgaseg/tiny.yaml --import my_data.py \\
      DATASETS.TRAIN "('my_train',)" DATASETS.TEST "('my_val',)"
  torchrun --nproc-per-node 8 %(prog)s --config-file configs/fgaseg/vitb16_384.yaml \\
      --import my_data.py DATASETS.TRAIN "('my_train',)"

Errors are reported in one line; FGASEG_TRACEBACK=1 in the environment shows where they arose.
"""


def argument_parser() -> argparse.ArgumentParser:
    """Build a parser of the flags of Detectron2's training scripts, and --import.

    Detectron2's own parser is not used because importing it takes seconds, which --help would wait.
    """
    parser = Parser(
        description="Train or evaluate an open-vocabulary segmentation model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--config-file",
        required=True,
        metavar="FILE",
        help="YAML file, or the name of a bundled configuration",
    )
    add("--resume", action="store_true", help="continue from the last checkpoint in OUTPUT_DIR")
    add(
        "--eval-only",
        action="store_true",
        help="do not train: evaluate MODEL.WEIGHTS on DATASETS.TEST, and write "
        "OUTPUT_DIR/results.{json,csv,md}",
    )
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="module or .py file to import first, which registers your datasets; repeatable",
    )
    add(
        "--num-gpus",
        type=int,
        default=1,
        help="processes on this machine, each with a GPU, or on the CPU where there is none "
        "(default: %(default)s)",
    )
    add("--num-machines", type=int, default=1, help="(default: %(default)s)")
    add("--machine-rank", type=int, default=0, help="number of this machine, from 0")
    add(
        "--dist-url",
        default="auto",
        help="where processes meet, such as tcp://10.0.0.1:29500; needed for several machines",
    )
    add(
        "opts",
        nargs="*",
        metavar="KEY VALUE",
        help="configuration changes, such as SOLVER.BASE_LR 1e-4",
    )
    return parser


def train_or_test(args: argparse.Namespace) -> None:
    """Do one process's share of what the command line asks for.

    Args:
        args: of :func:`argument_parser`.

    Raises:
        ValueError, OSError: something about configuration, data or weights that a user can mend.
    """
    from fgaseg_d2.data.records import listed_once
    from fgaseg_d2.engine import FGASegTrainer, setup, testing

    with listed_once():
        cfg = setup.setup(args)
        if args.eval_only:
            testing.evaluate(cfg, FGASegTrainer, args.resume, args.config_file)
            return
    trainer = FGASegTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    trainer.train()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after the program's name; None takes those of this process.

    Returns:
        Exit code.
    """
    args = argument_parser().parse_intermixed_args(arguments)
    let_threads_sleep()
    try:
        from fgaseg_d2.engine import errors, launch
    except ImportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    launch.hide_gpus_unless_wanted(args.opts)
    return errors.run(
        lambda: launch.launch(
            train_or_test,
            args.num_gpus,
            args.num_machines,
            args.machine_rank,
            args.dist_url,
            (args,),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
