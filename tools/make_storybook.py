#!/usr/bin/env python3
"""Make the Storybook data set, or draw single Storybook scenes.

python tools/make_storybook.py --root datasets
python tools/make_storybook.py --scene 90000000 --output scene.png --height 384 --width 512
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(
        description="Make the Storybook data set, or draw a single scene with --scene."
    )
    parser.add_argument(
        "--root", type=Path, default=Path("datasets"), help="folder for storybook/ (%(default)s)"
    )
    for split, count in (("train", 20000), ("val", 300), ("test", 500)):
        parser.add_argument(
            f"--{split}",
            type=int,
            default=count,
            metavar="N",
            help=f"scenes of the split {split}, 0 leaves it out (%(default)s)",
        )
    parser.add_argument(
        "--size", type=int, default=256, help="side of a scene in pixels (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set (%(default)s)")
    parser.add_argument("--workers", type=int, help="processes (one for each CPU core)")
    single = parser.add_argument_group("single scene")
    single.add_argument("--scene", type=int, metavar="SEED", help="draw this scene only")
    single.add_argument("--output", type=Path, default=Path("scene.png"), help="%(default)s")
    single.add_argument("--height", type=int, default=384, help="rows in pixels (%(default)s)")
    single.add_argument("--width", type=int, default=512, help="columns in pixels (%(default)s)")
    single.add_argument("--held-out", action="store_true", help="show held-out things as well")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Words after the program's name; None takes those of this process.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Only now, so that --help answers at once.
    from fgaseg_d2.data.storybook import PRODUCTS, TRAINING_PRODUCTS, dataset, draw_scene

    try:
        if options.scene is not None:
            products = PRODUCTS if options.held_out else TRAINING_PRODUCTS
            scene = draw_scene(options.scene, options.height, options.width, products)
            dataset.write_picture(options.output, scene.image)
            return
        for split in dataset.SPLITS:
            count = getattr(options, split)
            if count:
                dataset.write_dataset(
                    options.root,
                    split,
                    count,
                    options.seed,
                    options.size,
                    options.size,
                    options.workers,
                )
    except (ValueError, OSError) as error:
        parser.exit(1, f"error: {' '.join(str(error).split())}\n")


if __name__ == "__main__":
    main()
