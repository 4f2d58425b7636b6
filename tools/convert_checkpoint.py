#!/usr/bin/env python3
"""Converts a checkpoint between formats, as `fgaseg-d2 convert` does."""

import sys

import command_line  # noqa: F401 (knows where the package lies)

from fgaseg_d2_cli.convert import COMMAND

build_parser, main = COMMAND.build_parser, COMMAND.main

if __name__ == "__main__":
    sys.exit(main())
