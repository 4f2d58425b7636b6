#!/usr/bin/env python3
"""Compare this package with recorded outputs of the authors' code.

python tools/check_parity.py tests/data/golden
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(
        description="Compare this package with golden files (recorded outputs of the authors' "
        "code). Exit code 1 if anything is out of tolerance or cannot be compared."
    )
    parser.add_argument("folder", type=Path, help="folder with golden files (.npz)")
    parser.add_argument(
        "--only", default="*", metavar="PATTERN", help="files whose names match (%(default)s)"
    )
    return parser


def check(folder: Path, only: str = "*") -> bool:
    """Compare with every golden file of a folder and print a table.

    Args:
        folder: with .npz files.
        only: pattern of their names, without the ending.

    Returns:
        Whether everything agrees.

    Raises:
        FileNotFoundError: there is no golden file.
    """
    from fgaseg_d2.parity import golden, measure

    paths = sorted(folder.glob(f"{only}.npz"))
    if not paths:
        raise FileNotFoundError(f"expected golden files {only}.npz in {folder}, got none")
    width = max(len(path.stem) for path in paths)
    _say(f"{'file':{width}}  {'quantity':32}  {'difference':>10}  {'tolerance':>9}  verdict")
    bad = 0
    for path in paths:
        try:
            rows = measure.measure(golden.read_golden(path))
        except ValueError as error:
            _say(f"{path.stem:{width}}  error: {' '.join(str(error).split())}")
            bad += 1
            continue
        for row in rows:
            verdict = "ok" if row.agrees else "OUT"
            numbers = f"{row.difference:10.2e}  {row.tolerance:9.0e}"
            _say(f"{row.file:{width}}  {row.quantity:32}  {numbers}  {verdict}")
            bad += not row.agrees
    _say(f"{len(paths)} files: " + (f"{bad} out of tolerance or in error" if bad else "all agree"))
    return not bad


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after the program's name; None takes those of this process.

    Returns:
        Exit code.
    """
    options = build_parser().parse_args(arguments)
    # Only now, so that --help answers at once.
    from fgaseg_d2.engine import errors

    agrees: list[bool] = []
    code = errors.run(lambda: agrees.append(check(options.folder, options.only)))
    return code or int(not all(agrees))


if __name__ == "__main__":
    sys.exit(main())
