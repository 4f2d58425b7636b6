#!/usr/bin/env python3
"""Read every picture, label and caption of the datasets of a configuration; show what there is.

python tools/check_dataset.py pets.yaml
python tools/check_dataset.py tiny --datasets storybook_val
"""

import argparse
import sys
from collections.abc import Sequence

from command_line import Parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        description="Read every picture and label of the datasets of a configuration; show each "
        "class's share of the pixels and number of pictures, or what captions there are. What is "
        "wrong is named, and the exit code is 1."
    )
    parser.add_argument("config", help="YAML file, or the name of a bundled configuration")
    parser.add_argument(
        "--datasets",
        nargs="+",
        metavar="NAME",
        help="registered datasets to check (default: those of DATASETS.FOLDERS and CAPTIONS; "
        "if there are none, of DATASETS.TRAIN and TEST)",
    )
    parser.add_imports()
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), _check, arguments)


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


if __name__ == "__main__":
    sys.exit(main())
