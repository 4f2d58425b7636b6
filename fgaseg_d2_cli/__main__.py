"""The console command `fgaseg-d2`; `python -m fgaseg_d2_cli` is the same."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from .command_line import Command, Parser

# Name -> module, what it defines, and what it does.
_COMMANDS = {
    "segment": ("segment", "COMMAND", "segment pictures, videos or a camera's view by words"),
    "page": ("page", "COMMAND", "the same on a page in the browser, a picture at a time"),
    "train": ("train", "TRAIN", "train a model"),
    "evaluate": ("train", "EVALUATE", "evaluate a model on datasets"),
    "score": ("score", "COMMAND", "score saved label maps, without a model"),
    "view": ("view", "COMMAND", "draw saved predictions beside the truth, worst classes first"),
    "prepare": ("prepare", "COMMAND", "turn the downloads of the benchmarks into label files"),
    "check": ("check", "COMMAND", "read every picture and label of a configuration's datasets"),
    "models": ("models", "COMMAND", "list the models that are known by name, fetch their weights"),
    "export": ("export", "COMMAND", "write a model as a folder that others can load"),
    "convert": ("convert", "COMMAND", "convert a checkpoint between formats"),
    "config": ("config", "COMMAND", "write a configuration as one plain YAML file"),
}
_NAME = "fgaseg-d2"


def build_parser() -> Parser:
    """Describe the command line up to the command."""
    width = max(map(len, _COMMANDS))
    parser = Parser(
        _NAME,
        description="Open-vocabulary semantic segmentation: any words, every pixel.",
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}  {does}" for name, (_, _, does) in _COMMANDS.items())
        + f"\n\n{_NAME} COMMAND --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{_NAME} [-h] [--version] COMMAND ...",
    )
    parser.add_argument("--version", action="version", version=_version(), help="say which it is")
    parser.add_argument("command", type=_known, metavar="COMMAND", help="one of those below")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after the program's name; None takes those of this process.

    Returns:
        Exit code: 0; 1 if something failed; 2 after a wrong command line; 130 after Ctrl-C.

    Raises:
        SystemExit: after --help, with code 0, and after a wrong option, with code 2.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    name = build_parser().parse_args(words[:1]).command
    module, attribute, _ = _COMMANDS[name]
    command: Command = getattr(importlib.import_module(f".{module}", __package__), attribute)
    return command.main(words[1:], f"{_NAME} {name}")


def _known(name: str) -> str:
    if name in _COMMANDS:
        return name
    near = difflib.get_close_matches(name, _COMMANDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_COMMANDS)}"
    raise argparse.ArgumentTypeError(f"expected a command, got {name!r}; {hint}")


def _version() -> str:
    """The package's version, without importing it."""
    spec = importlib.util.find_spec("fgaseg_d2")
    if spec is None or spec.origin is None:
        return "fgaseg_d2 is not installed"
    text = Path(spec.origin).read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return found[1] if found else "unknown"


if __name__ == "__main__":
    sys.exit(main())
