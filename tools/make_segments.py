#!/usr/bin/env python3
r"""Write a file of segments with texts from a labelled dataset, or from COCO's instances.

python tools/make_segments.py pets.jsonl --dataset pets_train --config pets.yaml --pieces
python tools/make_segments.py coco.jsonl --coco instances_train2017.json --images train2017
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from command_line import Parser, between, path, positive, run_command, say

if TYPE_CHECKING:
    from fgaseg_d2.data.segment_making.writing import Written


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        description="Write a file of segments with texts (JSON Lines, one record a picture; "
        "docs/USE.md), to train USE on: of a labelled dataset, whose classes are the segments, or "
        "of COCO's instances, crowds left out. What cannot be used is named and left out, and the "
        "exit code is then 1. A run that was killed goes on where it was when it is started again."
    )
    parser.add_argument("file", type=path, metavar="FILE", help="JSON Lines to write; replaced")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--dataset", metavar="NAME", help="a registered dataset with label maps")
    source.add_argument(
        "--coco",
        type=path,
        metavar="JSON",
        help="COCO's instances (also LVIS): polygons or run lengths, and names of categories",
    )
    parser.add_argument(
        "--images",
        type=path,
        metavar="FOLDER",
        help="where the pictures' paths begin, in the file and with --coco also now (default: the "
        "folder of the file)",
    )
    parser.add_argument(
        "--pieces",
        action="store_true",
        help="each connected piece of a class is a segment, and not all of its pixels in a picture",
    )
    parser.add_argument(
        "--all-names", action="store_true", help="all names of a class are texts, not its first"
    )
    parser.add_argument(
        "--unseen",
        default="",
        metavar="WORDS",
        help="classes to leave out, as DATASETS.UNSEEN says them: names or numbers with commas, a "
        "file, a split such as voc_15_5, or metadata",
    )
    parser.add_argument(
        "--least",
        type=positive,
        default=16,
        metavar="N",
        help="leave out segments of fewer pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--level",
        choices=("object", "part"),
        default="object",
        help="what the segments are (default: %(default)s)",
    )
    parser.add_argument(
        "--config", metavar="CONFIG", help="YAML file whose DATASETS registers the dataset"
    )
    parser.add_argument(
        "--workers",
        type=between(1, 1024),
        metavar="N",
        help="processes (default: one for each CPU core)",
    )
    parser.add_imports()
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), _make, arguments, _check)


def _check(options: argparse.Namespace) -> None:
    if options.coco and (options.pieces or options.all_names or options.config):
        raise ValueError("--pieces, --all-names and --config are for --dataset; leave them out")


def _make(options: argparse.Namespace) -> None:
    from fgaseg_d2.data.problem_lines import problem_lines
    from fgaseg_d2.wording import few

    written = _write(options)
    left_out = [f"{number} {reason}" for reason, number in sorted(written.left_out.items())]
    problems = [" ".join(problem.split()) for problem in written.problems]
    for line in problem_lines(problems, unit="problems"):
        sys.stdout.write(f"{line}\n")
    before = f" ({written.kept} of them by an earlier run)" if written.kept else ""
    say(
        f"{options.file}: {written.pictures} pictures{before}, {written.segments} segments; left "
        f"out: {few(left_out) or 'none'}"
    )
    if not written.pictures:
        raise ValueError(
            f"expected pictures that can be used, got none; {options.file} was not written, "
            "correct what is named above"
        )
    if written.problems:
        raise ValueError(
            f"expected what can be used, got {len(written.problems)} annotations or pictures that "
            f"cannot; {options.file} is without them: correct them and start again, or go on"
        )


def _write(options: argparse.Namespace) -> Written:
    from fgaseg_d2.data.segment_making.made import Wanted
    from fgaseg_d2.data.segment_making.writing import write_records
    from fgaseg_d2.parallel import available_processors

    images = options.images or options.file.parent
    wanted = Wanted(options.least, options.level)
    workers = options.workers or available_processors()
    settings: dict[str, Any] = {
        key: str(getattr(options, key))
        for key in ("dataset", "images", "pieces", "all_names", "unseen", "least", "level")
    }
    if options.coco:
        from fgaseg_d2.data.segment_making.coco import InstanceMasks, read_instances

        found = read_instances(options.coco, options.unseen)
        state = options.coco.stat()
        settings |= {
            "coco": [str(options.coco.resolve()), state.st_size, state.st_mtime_ns],
            "texts": list(found.texts.items()),
        }
        make = InstanceMasks(found.texts, images, wanted, options.coco.stem)
        written = write_records(options.file, found.items, make, settings, workers)
        written.problems += found.problems
        return written
    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.data.datasets.configured import register_configured
    from fgaseg_d2.data.records import dataset_records
    from fgaseg_d2.data.segment_making.labelled import LabelMaps
    from fgaseg_d2.engine.imports import import_user_module

    for module in options.imports:
        import_user_module(module)
    if options.config:
        register_configured(load_config(options.config, device="cpu"))
    maps = LabelMaps.of_dataset(
        options.dataset,
        images,
        wanted,
        pieces=options.pieces,
        unseen=options.unseen,
        all_names=options.all_names,
    )
    records = list(enumerate(dataset_records(options.dataset)))
    files = ("file_name", "sem_seg_file_name")
    settings |= {
        "texts": maps.texts,
        "ignore": maps.labels.ignore_label,
        "records": [[os.fsdecode(record[key]) for key in files] for _, record in records],
    }
    return write_records(options.file, records, maps, settings, workers)


if __name__ == "__main__":
    sys.exit(main())
