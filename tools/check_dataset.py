#!/usr/bin/env python3
"""Reads pictures, labels and captions of datasets, as `fgaseg-d2 check` does."""

import sys

import command_line  # noqa: F401 (knows where the package lies)

from fgaseg_d2_cli.check import COMMAND

build_parser, main = COMMAND.build_parser, COMMAND.main

if __name__ == "__main__":
    sys.exit(main())
