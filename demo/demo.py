#!/usr/bin/env python3
"""Segments pictures, videos or a camera's view by words, as `fgaseg-d2 segment` does."""

import sys
from pathlib import Path

# Where the package lies, if it is not installed.
sys.path.append(str(Path(__file__).resolve().parent.parent))
from fgaseg_d2_cli.segment import COMMAND  # noqa: E402 (from there)

build_parser, main = COMMAND.build_parser, COMMAND.main

if __name__ == "__main__":
    sys.exit(main())
