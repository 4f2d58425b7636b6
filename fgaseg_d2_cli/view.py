"""Draw saved predictions beside truth and picture, worst classes first.

fgaseg-d2 view output/inference/pets_val/predictions
fgaseg-d2 view output/inference/pets_val/predictions --only "cat,dog"
fgaseg-d2 view output/inference/pets_val/predictions --sheet worst.png
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .command_line import Command, Parser, between, count, path, picture_file, say

if TYPE_CHECKING:
    from fgaseg_d2.evaluation.predictions import SavedPredictions
    from fgaseg_d2.evaluation.worst import Counts


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "predictions",
        type=path,
        help="folder that TEST.SAVE_PREDICTIONS wrote: OUTPUT_DIR/inference/<dataset>/predictions",
    )
    parser.add_argument(
        "--output",
        type=path,
        metavar="FILE",
        help="HTML file (default: view.html beside the folder)",
    )
    parser.add_argument(
        "--sheet", type=picture_file, metavar="FILE", help="draw one PNG or JPEG instead of HTML"
    )
    parser.add_argument(
        "--classes",
        type=count,
        default=10,
        metavar="N",
        help="how many of the worst classes (default: %(default)s)",
    )
    parser.add_argument("--only", metavar="NAMES", help="these classes instead, such as 'cat,dog'")
    parser.add_argument(
        "--pictures",
        type=count,
        default=3,
        metavar="N",
        help="pictures of each class (default: %(default)s)",
    )
    parser.add_argument(
        "--sample",
        type=count,
        default=6,
        metavar="N",
        help="further pictures, from all over the test set (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=between(32, 2048),
        default=480,
        metavar="N",
        help="longer side of a picture in pixels (default: %(default)s)",
    )


def _view(options: argparse.Namespace) -> None:
    from fgaseg_d2.evaluation.gallery import Gallery, dataset_colors
    from fgaseg_d2.evaluation.predictions import read_index
    from fgaseg_d2.evaluation.worst import count_pixels
    from fgaseg_d2.io.files import atomic_path, write_image
    from fgaseg_d2.io.progress import with_progress

    saved = read_index(options.predictions)
    if not saved.files:
        raise ValueError(f"expected predictions in {options.predictions}, got none")
    names = with_progress(saved.files, len(saved.files), "picture", "counting")
    counts = count_pixels(saved, names)
    gallery = Gallery(saved, counts, dataset_colors(saved.truth.labels), options.size)
    classes = _chosen_classes(saved, counts, options)
    sections = gallery.sections(classes, options.pictures, options.sample)
    output = options.sheet or options.output or options.predictions.resolve().parent / "view.html"
    if options.sheet:
        write_image(output, gallery.sheet(sections))
    else:
        # A file's name may be no UTF-8.
        with (
            atomic_path(output) as temporary,
            temporary.open("w", encoding="utf-8", errors="backslashreplace") as stream,
        ):
            stream.writelines(gallery.html(sections))
    say(f"{gallery.summary}\n{output}")


def _chosen_classes(
    saved: SavedPredictions, counts: Counts, options: argparse.Namespace
) -> list[int]:
    if options.only is None:
        return counts.worst_classes(options.classes)
    known = saved.truth.labels.classes
    chosen = []
    for name in options.only.split(","):
        if name.strip() not in known:
            import difflib

            near = difflib.get_close_matches(name.strip(), known, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "see its predictions.json"
            raise ValueError(
                f"--only: {name.strip()!r} is no class of {options.predictions}; {hint}"
            )
        chosen.append(known.index(name.strip()))
    return chosen


COMMAND = Command(
    "Draw saved predictions beside truth and picture, worst classes first, as one HTML file that "
    "needs no other.",
    _add_arguments,
    _view,
)
