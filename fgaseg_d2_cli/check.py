"""Read all pictures, labels, captions and segments of datasets; show what there is.

fgaseg-d2 check pets.yaml
fgaseg-d2 check tiny --datasets storybook_val
"""

import argparse
import sys

from .command_line import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("config", help="YAML file, or the name of a bundled configuration")
    parser.add_argument(
        "--datasets",
        nargs="+",
        metavar="NAME",
        help="registered datasets to check (default: those of DATASETS.FOLDERS, "
        "CAPTIONS and SEGMENTS; if there are none, of DATASETS.TRAIN and TEST)",
    )
    parser.add_imports()


def _check(options: argparse.Namespace) -> None:
    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.data.checking import check_dataset
    from fgaseg_d2.data.datasets.configured import register_configured
    from fgaseg_d2.engine.imports import import_user_module

    for module in options.imports:
        import_user_module(module)
    cfg = load_config(options.config, device="cpu")
    own = register_configured(cfg)
    configured = list(dict.fromkeys((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)))
    problems = 0
    for name in options.datasets or own or configured:
        report = check_dataset(name)
        sys.stdout.write(report.text())
        problems += len(report.problems)
    if problems:
        raise ValueError(f"{problems} files cannot be used; correct them, or remove them")


COMMAND = Command(
    "Read every picture and label of the datasets of a configuration; show each class's share of "
    "the pixels and number of pictures, or what captions or segments there are. What is wrong is "
    "named, and the exit code is 1.",
    _add_arguments,
    _check,
)
