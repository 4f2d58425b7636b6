#!/usr/bin/env python3
"""Draws saved predictions beside truth and picture, as `fgaseg-d2 view` does."""

import sys

import command_line  # noqa: F401 (knows where the package lies)

from fgaseg_d2_cli.view import COMMAND

build_parser, main = COMMAND.build_parser, COMMAND.main

if __name__ == "__main__":
    sys.exit(main())
