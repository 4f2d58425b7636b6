"""Trains or evaluates a model: sets up and launches, nothing else."""

import argparse

from .command_line import Command, Parser, add_model

_EXAMPLES = """\
Examples:
  %(prog)s --config-file tiny --num-gpus 2 SOLVER.BASE_LR 1e-4
  %(prog)s --config-file tiny --resume
  %(prog)s --config-file tiny --import my_data.py \\
      DATASETS.TRAIN "('my_train',)" DATASETS.TEST "('my_val',)"
  torchrun --nproc-per-node 8 -m fgaseg_d2_cli train --config-file vitb16_384 \\
      --import my_data.py DATASETS.TRAIN "('my_train',)"
"""
_EVALUATION_EXAMPLE = """\
  %(prog)s --config-file tiny --eval-only MODEL.WEIGHTS model.pth
"""
_EVALUATION_EXAMPLES = """\
Examples:
  %(prog)s --config-file tiny MODEL.WEIGHTS model.pth
  %(prog)s --model catseg_vitb16 --num-gpus 2 DATASETS.TEST "('ade20k_150_val',)"
"""
_ERRORS = """
Errors are reported in one line; FGASEG_TRACEBACK=1 in the environment shows where they arose.
"""


def _add_arguments(parser: Parser) -> None:
    """Describe the flags of Detectron2's training scripts, and --import.

    Detectron2's own parser is not used because importing it takes seconds, which --help would wait.
    """
    add = parser.add_argument
    add_model(parser)
    add("--resume", action="store_true", help="continue from the last checkpoint in OUTPUT_DIR")
    parser.add_imports()
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


def _add_training(parser: Parser) -> None:
    _add_arguments(parser)
    parser.set_defaults(eval_only=False)


def _add_evaluation(parser: Parser) -> None:
    _add_arguments(parser)
    parser.set_defaults(eval_only=True)


def _add_both(parser: Parser) -> None:
    _add_arguments(parser)
    parser.add_argument(
        "--eval-only",
        action="store_true",
        help="do not train: evaluate MODEL.WEIGHTS on DATASETS.TEST, and write "
        "OUTPUT_DIR/results.{json,csv,md}",
    )


def train_or_test(args: argparse.Namespace) -> None:
    """Do one process's share of what the command line asks for.

    Args:
        args: of the command line.

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


def _launch(args: argparse.Namespace) -> None:
    from fgaseg_d2.engine import launch

    launch.hide_gpus_unless_wanted(args.opts)
    launch.launch(
        *(train_or_test, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url),
        (args,),
    )


TRAIN = Command(
    "Train an open-vocabulary segmentation model.", _add_training, _launch, _EXAMPLES + _ERRORS
)
EVALUATE = Command(
    "Evaluate weights on DATASETS.TEST, and write OUTPUT_DIR/results.{json,csv,md}.",
    *(_add_evaluation, _launch, _EVALUATION_EXAMPLES + _ERRORS),
)
# Both, as programs of Detectron2's projects do.
TRAIN_NET = Command(
    "Train or evaluate an open-vocabulary segmentation model.",
    *(_add_both, _launch, _EXAMPLES + _EVALUATION_EXAMPLE + _ERRORS),
)
