#!/usr/bin/env python3
"""Write a configuration as one plain YAML file, which Detectron2's own tools can read.

python tools/write_config.py table2_none my_config.yaml
python tools/write_config.py configs/fgaseg/tiny.yaml my_config.yaml --opts SOLVER.MAX_ITER 100
"""

import argparse
import ast
import sys
from collections.abc import Sequence
from typing import Any

from command_line import Parser, path, place, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        description="Write a configuration with its bases as one file of the keys that differ from "
        "the defaults, for cfg.merge_from_file after add_fgaseg_config."
    )
    add = parser.add_argument
    add(
        "config", type=place, metavar="CONFIG",
        help="YAML file, name of a bundled configuration, or a row of configs/*/ablations.yaml",
    )  # fmt: skip
    add("file", type=path, metavar="FILE", help="to write (.yaml)")
    add(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE",
        help="further changes, in pairs; must come last",
    )  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), _write, arguments)


def _write(options: argparse.Namespace) -> None:
    import yaml

    from fgaseg_d2.io.files import atomic_path

    content: dict[str, Any] = {"VERSION": 2}
    for key, value in _changes(options.config, options.opts).items():
        *sections, last = key.split(".")
        node = content
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = _quoted(value)
    with atomic_path(options.file) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _changes(config: str, opts: Sequence[str]) -> dict[str, Any]:
    """What a configuration changes in the defaults, by key."""
    from detectron2.config import get_cfg

    from fgaseg_d2.config import add_fgaseg_config
    from fgaseg_d2.config.bases import ConfigFiles
    from fgaseg_d2.config.finding import find_config
    from fgaseg_d2.config.loading import read_config
    from fgaseg_d2.config.values import leaves

    plain = get_cfg()
    add_fgaseg_config(plain)
    loaded = read_config(config, opts)
    defaults, device = dict(leaves(plain)), "MODEL.DEVICE"
    values = dict(leaves(loaded.cfg))
    if device not in loaded.changed:
        # Loading takes the CPU where there is no GPU; which machine reads the file is not known.
        stated = dict(leaves(ConfigFiles().read(find_config(config))))
        values[device] = stated.get(device, defaults[device])
    return {key: value for key, value in values.items() if value != defaults[key]}


def _quoted(value: Any) -> Any:
    """Text that Detectron2 would read as a number or a list gets quotes of its own."""
    try:
        text = isinstance(value, str) and not isinstance(ast.literal_eval(value), str)
        return repr(value) if text else value
    except (ValueError, SyntaxError):
        return value


if __name__ == "__main__":
    sys.exit(main())
