"""What the programs of this folder share: the command line of the package they lie beside."""

import sys
from pathlib import Path

# Where the package lies, if it is not installed.
sys.path.append(str(Path(__file__).resolve().parent.parent))
from fgaseg_d2_cli.command_line import (  # noqa: E402 (from there)
    Parser,
    between,
    count,
    path,
    picture_file,
    place,
    positive,
    run_command,
    say,
)

__all__ = [
    "Parser",
    "between",
    "count",
    "path",
    "picture_file",
    "place",
    "positive",
    "run_command",
    "say",
]
