#!/usr/bin/env python3
r"""Check files of segments: every line, text, mask and picture.

python tools/check_segments.py segments.jsonl --images pictures
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from command_line import Parser, count, path, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        description="Check files of segments (JSON Lines, one record a picture; docs/USE.md): "
        "whether each line is a record, each text one, and each picture there, whole, of the size "
        "that is said and in no other line; whether each mask can be decoded, has a pixel, and has "
        'the "area" and "bbox" that are said. What is wrong is named with its line, the counts '
        "come last, and the exit code is 1 where anything is wrong."
    )
    parser.add_argument("files", nargs="+", type=path, metavar="FILE", help="a file of segments")
    parser.add_argument(
        "--images",
        type=path,
        metavar="FOLDER",
        help='where "file_name" begins (default: the folder of the file)',
    )
    parser.add_argument(
        "--no-pictures", action="store_true", help="do not look for the pictures themselves"
    )
    parser.add_argument(
        "--show",
        type=count,
        default=20,
        metavar="N",
        help="problems of a file that are written out; 0 for all (default: %(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), _check, arguments)


def _check(options: argparse.Namespace) -> None:
    from fgaseg_d2.data.segment_checking import check_segment_file

    problems = 0
    for file in options.files:
        report = check_segment_file(file, options.images, pictures=not options.no_pictures)
        sys.stdout.write(report.text(options.show))
        sys.stdout.flush()
        problems += len(report.problems)
    if problems:
        found = "1 problem" if problems == 1 else f"{problems} problems"
        raise ValueError(f"{found} found; correct or remove these lines")


if __name__ == "__main__":
    sys.exit(main())
