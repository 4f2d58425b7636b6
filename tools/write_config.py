#!/usr/bin/env python3
"""Writes a configuration as one plain YAML file, as `fgaseg-d2 config` does."""

import sys

import command_line  # noqa: F401 (knows where the package lies)

from fgaseg_d2_cli.config import COMMAND

build_parser, main = COMMAND.build_parser, COMMAND.main

if __name__ == "__main__":
    sys.exit(main())
