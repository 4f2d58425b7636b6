"""Write a configuration as one plain YAML file, which Detectron2's own tools can read.

fgaseg-d2 config table2_none my_config.yaml
fgaseg-d2 config pets.yaml my_config.yaml --opts SOLVER.MAX_ITER 100
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .command_line import Command, Parser, path, place

if TYPE_CHECKING:
    from detectron2.config import CfgNode

_DEVICE = "MODEL.DEVICE"


def _add_arguments(parser: Parser) -> None:
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


def _write(options: argparse.Namespace) -> None:
    from fgaseg_d2.config.bases import ConfigFiles
    from fgaseg_d2.config.finding import find_config
    from fgaseg_d2.config.loading import read_config
    from fgaseg_d2.config.values import leaves

    loaded = read_config(options.config, options.opts)
    changes = changed_keys(loaded.cfg)
    if _DEVICE not in loaded.changed:
        # Loading takes the CPU where there is no GPU; which machine reads the file is not known.
        changes.pop(_DEVICE, None)
        stated = dict(leaves(ConfigFiles().read(find_config(options.config))))
        changes |= {key: value for key, value in stated.items() if key == _DEVICE}
    write_keys(options.file, changes)


def changed_keys(cfg: CfgNode) -> dict[str, Any]:
    """What a configuration changes in the defaults, by key."""
    from detectron2.config import get_cfg

    from fgaseg_d2.config import add_fgaseg_config
    from fgaseg_d2.config.values import leaves

    plain = get_cfg()
    add_fgaseg_config(plain)
    defaults = dict(leaves(plain))
    return {key: value for key, value in leaves(cfg) if value != defaults[key]}


def write_keys(path: Path, keys: Mapping[str, Any]) -> None:
    """Write keys and their values as a configuration file.

    Args:
        path: of the file.
        keys: such as "MODEL.DEVICE".

    Raises:
        OSError: it cannot be written.
    """
    import yaml

    from fgaseg_d2.io.files import atomic_path

    content: dict[str, Any] = {"VERSION": 2}
    for key, value in keys.items():
        *sections, last = key.split(".")
        node = content
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = _quoted(value)
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _quoted(value: Any) -> Any:
    """Text that Detectron2 would read as a number or a list gets quotes of its own."""
    try:
        text = isinstance(value, str) and not isinstance(ast.literal_eval(value), str)
        return repr(value) if text else value
    except (ValueError, SyntaxError):
        return value


COMMAND = Command(
    "Write a configuration with its bases as one file of the keys that differ from the defaults, "
    "for cfg.merge_from_file after add_fgaseg_config.",
    _add_arguments,
    _write,
)
