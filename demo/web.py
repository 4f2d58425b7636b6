#!/usr/bin/env python3
"""Segments pictures by words on a page in the browser, as `fgaseg-d2 page` does."""

import sys
from pathlib import Path

# Where the package lies, if it is not installed.
sys.path.append(str(Path(__file__).resolve().parent.parent))
from fgaseg_d2_cli.page import COMMAND  # noqa: E402 (from there)

build_parser, main = COMMAND.build_parser, COMMAND.main

if __name__ == "__main__":
    sys.exit(main())
