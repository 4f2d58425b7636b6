#!/usr/bin/env python3
"""Make the Storybook data set, check it, or draw single Storybook scenes.

python tools/make_storybook.py --root datasets
python tools/make_storybook.py --root datasets --train 0 --verify
python tools/make_storybook.py --scene 90000000 --output scene.png --height 384 --width 512
python tools/make_storybook.py --scene 7 --things "green boat,striped kite"
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from command_line import Parser, between, count, path, run_command, say

# As in fgaseg_d2.storybook, which --help does not wait for; a test compares them. What few need is
# drawn when it is asked for, or first used.
_COUNTS = {
    **{"train": 20_000, "val": 300, "test": 500, "generalized_val": 300},
    **{"transductive": 0, "captions_train": 0, "captions_val": 0},
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = Parser(
        description="Make the Storybook data set, or draw a single scene with --scene. What is "
        "drawn already is kept, so an interrupted run continues."
    )
    parser.add_argument(
        "--root",
        type=path,
        default=os.environ.get("DETECTRON2_DATASETS", "datasets"),
        help="folder for storybook/ (default: DETECTRON2_DATASETS, here %(default)s)",
    )
    for split, scenes in _COUNTS.items():
        parser.add_argument(
            f"--{split.replace('_', '-')}",
            type=count,
            default=scenes,
            metavar="N",
            help=f"scenes of the split {split}; 0 leaves it out (default: %(default)s)",
        )
    parser.add_argument(
        "--size",
        type=int,
        help="side of a picture in pixels, 32 to 4096 (default: 256; with captions 112)",
    )
    parser.add_argument(
        "--seed", type=count, default=0, help="seed of the data set (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=between(1, 1024),
        metavar="N",
        help="processes (default: one for each CPU core)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="afterwards compare all pixels with the published data set, by their hash",
    )
    single = parser.add_argument_group("single scene")
    single.add_argument(
        "--scene", type=count, metavar="SEED", help="draw this scene, and no data set"
    )
    single.add_argument(
        "--output", type=path, default=Path("scene.png"), help="its file (default: %(default)s)"
    )
    single.add_argument(
        "--height", type=int, default=384, help="in pixels, 32 to 4096 (default: %(default)s)"
    )
    single.add_argument(
        "--width", type=int, default=512, help="in pixels, 32 to 4096 (default: %(default)s)"
    )
    single.add_argument(
        "--things",
        metavar="PHRASES",
        help="what its things are chosen from, such as 'green boat,striped kite,cat', or 'all' "
        "(default: what the training scenes show)",
    )
    return parser


def draw_single(options: argparse.Namespace) -> None:
    """Draw the scene that --scene asks for.

    Args:
        options: The command line.
    """
    from fgaseg_d2.storybook import PRODUCTS, TRAINING_PRODUCTS, draw_scene, find_products
    from fgaseg_d2.storybook.drawing import write_picture

    products = TRAINING_PRODUCTS
    if options.things == "all":
        products = PRODUCTS
    elif options.things is not None:
        phrases = [phrase.strip() for phrase in options.things.split(",")]
        products = tuple(product for phrase in phrases for product in find_products(phrase))
    scene = draw_scene(options.scene, options.height, options.width, products)
    write_picture(options.output, scene.image)


def make_data_set(options: argparse.Namespace) -> None:
    """Draw the splits, and verify them if asked to.

    Args:
        options: The command line.
    """
    from fgaseg_d2.storybook import write_dataset
    from fgaseg_d2.storybook.checksums import verify
    from fgaseg_d2.storybook.dataset import Settings

    splits = [split for split in _COUNTS if getattr(options, split)]
    for split in splits:  # all of them before the first is drawn
        Settings.complete(split, getattr(options, split), options.seed, options.size, options.size)
    for split in splits:
        scenes = getattr(options, split)
        sides = options.size, options.size
        write_dataset(options.root, split, scenes, options.seed, *sides, options.workers)
    for split in splits if options.verify else ():
        say(verify(options.root, split))


def make(options: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Args:
        options: The command line.
    """
    if options.scene is None:
        make_data_set(options)
    else:
        draw_single(options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return run_command(build_parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
