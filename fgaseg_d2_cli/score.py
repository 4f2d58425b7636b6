"""Score saved label maps without a model: those of TEST.SAVE_PREDICTIONS, or another program's.

fgaseg-d2 score output/inference/pets_val/predictions
fgaseg-d2 score my_maps --dataset ade20k_150_val --output scores
fgaseg-d2 score my_maps --truth pets/labels/val --classes pets.txt
"""

import argparse
import sys
from typing import TYPE_CHECKING

from .command_line import Command, Parser, count, place, say

if TYPE_CHECKING:
    from fgaseg_d2.evaluation.predictions import SavedPredictions

_EPILOG = """\
Label maps are PNG or TIFF of one channel with 8 or 16 bits, one a picture, at the size of the true
label map and named like it (--truth) or like the picture (--dataset). A pixel holds the index of
its class, from 0; palette files count by index. Files that TEST.SAVE_PREDICTIONS wrote carry an
index, predictions.json, and need no further option.

Writes results.json, results.csv and results.md into --output, and evaluation.json and per_class.csv
into inference/<test set>/ there. Several test sets may be scored into one output.
"""


def _add_arguments(parser: Parser) -> None:
    add = parser.add_argument
    add("folder", type=place, metavar="FOLDER", help="folder with the label maps to score")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--dataset", metavar="NAME", help="score against this registered dataset")
    source.add_argument(
        "--truth", type=place, metavar="DIR", help="score against the label files in a folder"
    )
    add("--classes", metavar="FILE", help="class list for --truth: a file, a benchmark or 'a,b'")
    add(
        "--ignore-label",
        type=count,
        metavar="N",
        help="value of ignored pixels for --truth (default: 255, or 65535 above 255 classes)",
    )
    add(
        "--background-class",
        type=count,
        metavar="N",
        help="predictions of N and above count as class N",
    )
    add("--unseen-classes", default="", metavar="LIST", help="'a,b' or a file: seen/unseen mIoU")
    add("--boundary-iou", action="store_true", help="also boundary IoU")
    add("--fragments", action="store_true", help="also connected components over the truth's")
    add(
        "--old-miou-rule",
        action="store_true",
        help="also mIoU by Detectron2's rule before July 2022",
    )
    parser.add_imports()
    add("--output", type=place, metavar="DIR", help="where the results go (default: FOLDER/scores)")


def find_predictions(options: argparse.Namespace) -> "SavedPredictions":
    """Find label maps and what they are scored against.

    Args:
        options: of the command line.

    Raises:
        FileNotFoundError: a folder, file or prediction is missing.
        ValueError: options that do not fit together, or files that cannot be paired.
    """
    import dataclasses
    import os

    from fgaseg_d2.evaluation import predictions, rescoring
    from fgaseg_d2.evaluation.truth import GroundTruth, read_unseen_classes

    changes: dict = {}
    if options.background_class is not None:
        changes["background_class"] = options.background_class
    if options.unseen_classes:
        changes["unseen_classes"] = read_unseen_classes(options.unseen_classes)
    if bool(options.truth) != bool(options.classes):
        raise ValueError("expected --truth DIR and --classes FILE together, got one of them")
    if options.ignore_label is not None and not options.truth:
        raise ValueError("expected --ignore-label with --truth only; a dataset has its own")
    if options.dataset:
        truth = GroundTruth.from_metadata(options.dataset)
    elif options.truth:
        # "." and ".." are no names.
        name = os.path.basename(os.path.realpath(options.folder)) or "predictions"
        truth = rescoring.truth_from_folder(
            name, options.truth, options.classes, options.ignore_label
        )
    else:
        saved = predictions.read_index(options.folder)
        return dataclasses.replace(saved, truth=dataclasses.replace(saved.truth, **changes))
    return rescoring.match_files(options.folder, dataclasses.replace(truth, **changes))


def evaluate(options: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Args:
        options: of the command line.

    Raises:
        FileNotFoundError, ValueError: something is missing, damaged or does not fit.
        OSError: the results cannot be written.
    """
    import os

    import fgaseg_d2.data  # noqa: F401 (registers the datasets of this package)
    from fgaseg_d2.engine.imports import import_user_module
    from fgaseg_d2.evaluation.report import inference_folder, write_report
    from fgaseg_d2.evaluation.rescoring import score
    from fgaseg_d2.evaluation.tally import Extras
    from fgaseg_d2.io.progress import with_progress
    from fgaseg_d2.wording import few

    for module in options.imports:
        import_user_module(module)
    saved = find_predictions(options)
    if saved.surplus:
        sys.stderr.write(
            f"warning: {len(saved.surplus)} label files in {options.folder} belong to no picture "
            f"and are left out: {few([path.name for path in saved.surplus])}\n"
        )
    extras = Extras(options.boundary_iou, options.old_miou_rule, options.fragments)
    output = options.output or os.path.join(options.folder, "scores")
    inference_folder(output, saved.truth.labels.dataset_name)  # before the work
    total = len(saved.files)
    evaluation = score(
        saved, extras, lambda names: with_progress(names, total, "picture", "scoring")
    )
    say(f"{write_report(output, evaluation)}\nWritten to {output}")


COMMAND = Command(
    "Score saved label maps of a test set, without a model.", _add_arguments, evaluate, _EPILOG
)
