#!/usr/bin/env python3
"""Compare this package with recorded outputs of the authors' code.

python tools/check_parity.py tests/data/golden
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import Parser, path, run_command, say

if TYPE_CHECKING:
    from parity.compare import Comparison


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = Parser(
        description="Compare this package with golden files (recorded outputs of the authors' "
        "code): for each recorded quantity the largest difference, the tolerance and the verdict. "
        "Exit code 1 if anything is out of tolerance or cannot be compared.",
        epilog="Tolerances: logits 1e-3; gradient norms 1e-2 of each norm; other values 1e-4 of "
        "the largest; sem_seg_argmax wrong on at most 1e-3 of the pixels; rejected classes, names "
        "and shapes none. A pixel counts as wrong if its recorded class scores more than 1e-6 "
        "below our best: closer scores differ by float32's rounding only. The share of pixels "
        "with the very same class is printed beside it.",
    )
    parser.add_argument(
        "folder",
        type=path,
        help="folder with golden files (.npz), such as tests/data/golden; manifests in it "
        "(manifest_*.json, names and shapes of the authors' weights) are compared as well",
    )
    parser.add_argument(
        "--only",
        default="*",
        metavar="PATTERN",
        help="only files whose names match, without the ending, such as 'fast_*' (default: all)",
    )
    return parser


def check(folder: Path, only: str = "*") -> bool:
    """Compare with every golden file and manifest of a folder and print a table.

    Args:
        folder: with .npz files, and possibly manifest_*.json.
        only: pattern of their names, without the ending.

    Returns:
        Whether everything agrees.

    Raises:
        FileNotFoundError: there is no golden file.
    """
    paths = sorted(folder.glob(f"{only}.npz"))
    manifests = [p for p in sorted(folder.glob(f"{only}.json")) if p.name.startswith("manifest_")]
    if not paths + manifests:
        raise FileNotFoundError(f"expected golden files {only}.npz in {folder}, got none")
    width = max(len(path.stem) for path in paths + manifests)
    say(f"{'file':{width}}  {'quantity':32}  {'difference':>10}  {'tolerance':>9}  verdict")
    bad = 0
    for file in manifests + paths:
        try:
            for row in _rows(file):
                verdict = "ok " if row.agrees else "OUT"
                numbers = f"{row.difference:10.2e}  {row.tolerance:9.0e}  {verdict}  {row.note}"
                say(f"{file.stem:{width}}  {row.quantity:32}  {numbers}".rstrip())
                bad += not row.agrees
        # Whatever is wrong with one file, the others are compared.
        except (ValueError, OSError, RuntimeError) as error:
            say(f"{file.stem:{width}}  error: {' '.join(str(error).split())}")
            bad += 1
    files = f"{len(paths)} golden files, {len(manifests)} manifests"
    say(f"{files}: " + (f"{bad} out of tolerance or in error" if bad else "all agree"))
    return not bad


def _rows(path: Path) -> Iterator["Comparison"]:
    from parity import golden, manifest, measure, settings

    if path.suffix == ".json":
        yield manifest.compare_manifest(manifest.read_manifest(path))
        return
    recorded = golden.read_golden(path)
    yield from measure.measure(recorded)
    ignored = settings.translate(recorded.config, recorded.opts).ignored
    if ignored:
        say(f"{path.stem}: of no effect on what is compared: {', '.join(ignored)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    # Notes of libraries to their own developers, and that CLIP comes without pretrained weights.
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.basicConfig(level=logging.ERROR)
    return run_command(
        build_parser(), lambda options: not check(options.folder, options.only), arguments
    )


if __name__ == "__main__":
    sys.exit(main())
