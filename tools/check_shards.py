#!/usr/bin/env python3
r"""Read every sample of webdataset shards before a training does, and name what is broken.

python tools/check_shards.py cc3m
python tools/check_shards.py 'cc3m/{00000..00331}.tar' --workers 8 --list broken.txt
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from command_line import Parser, path, positive, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        description="Read every picture and caption of webdataset shards, as img2dataset writes "
        "them (key.jpg and key.txt in tar files), and say how many there are, how large, how many "
        "a second could be read, and what is broken: pictures that cannot be decoded, samples "
        "without a picture or a caption, captions of blanks or not in UTF-8, shards that are cut "
        "off, damaged or no tar files. A training passes such samples over, up to 1 % of them. "
        "The exit code is 1 where there are more, or a shard is damaged.",
        epilog="Needs webdataset: pip install 'fgaseg_d2[mgca]'",
    )
    parser.add_argument(
        "shards",
        nargs="+",
        metavar="SHARDS",
        help="a folder of .tar files, a pattern such as 'cc3m/{00000..00331}.tar' (in quotes), a "
        ".tar file, or a text file with a path a line",
    )
    parser.add_argument(
        "--workers", type=positive, help="processes (default: as many as processors)"
    )
    parser.add_argument(
        "--list",
        type=path,
        metavar="FILE",
        help="write a line for all that is broken there (shard, key, reason, with tabs between) "
        "and show only the first 20",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), _check, arguments)


def _check(options: argparse.Namespace) -> None:
    from fgaseg_d2.data.shards.checking import check_shards
    from fgaseg_d2.data.shards.finding import find_shards
    from fgaseg_d2.io.files import atomic_path

    shards = find_shards(options.shards)
    report = check_shards(" ".join(options.shards), shards, options.workers)
    sys.stdout.write(report.text() if options.list else report.text(None))
    if options.list:
        broken = report.broken_part.broken
        lines = ["\t".join(" ".join(part.split()) for part in one) for one in broken]
        with atomic_path(options.list, "another --list") as temporary:
            text = "".join(f"{line}\n" for line in lines)
            temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
    if report.failed:
        raise ValueError(
            f"{report.broken_part.text(0)}, and {report.damaged} of {report.shards} shards are "
            "damaged; make those shards anew, or leave them out"
        )


if __name__ == "__main__":
    sys.exit(main())
