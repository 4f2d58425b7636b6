#!/usr/bin/env python3
"""Trains or evaluates a model, as `fgaseg-d2 train` and `fgaseg-d2 evaluate` do."""

import sys

from fgaseg_d2_cli.train import TRAIN_NET

build_parser, main = TRAIN_NET.build_parser, TRAIN_NET.main

if __name__ == "__main__":
    sys.exit(main())
