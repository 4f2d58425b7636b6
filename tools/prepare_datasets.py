#!/usr/bin/env python3
"""Turns the raw downloads of the benchmarks into label files, as `fgaseg-d2 prepare` does."""

import sys

import command_line  # noqa: F401 (knows where the package lies)

from fgaseg_d2_cli.prepare import COMMAND

build_parser, main = COMMAND.build_parser, COMMAND.main

if __name__ == "__main__":
    sys.exit(main())
