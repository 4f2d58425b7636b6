"""What all commands and programs share: how they read their command lines, and how they end.

Imports the standard library only, as they do, so that --help answers at once.
"""

import argparse
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# Libraries' notes to their own developers. Here, because processes that are started import this
# file first, then the libraries.
warnings.filterwarnings("ignore", category=FutureWarning)

# Lets the threads of GNU's and of Intel's OpenMP sleep while they wait ...
_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
# ... unless one of these says that somebody has chosen how they wait.
_CHOICES = {*_SLEEP, "GOMP_SPINCOUNT", "KMP_LIBRARY"}
# Beyond it no number of files, seeds or rounds is meant, and some libraries know no more.
_MOST = 2**31 - 1

_MESSAGE = 300  # characters


class Parser(argparse.ArgumentParser):
    """An argument parser that says in one line what is wrong, and ends with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without the usage."""
        if len(message) > _MESSAGE:
            # What was expected stands first, and what came can be a whole file.
            message = f"{message[: _MESSAGE // 2]}...{message[-_MESSAGE // 2 :]}"
        self.exit(2, f"error: {' '.join(message.split())}; see {self.prog} --help\n")

    def add_imports(self) -> None:
        """Add --import, for modules that register datasets; they are listed in ``imports``."""
        self.add_argument(
            "--import",
            dest="imports",
            action="append",
            default=[],
            metavar="MODULE",
            help="module or .py file to import first, which registers your datasets; repeatable",
        )


def add_model(parser: argparse._ActionsContainer, default: str | None = None) -> None:
    """Add --model, which is --config-file, to a parser or a group of one; ``config_file``.

    Args:
        parser: of the command.
        default: None where one must be given.
    """
    parser.add_argument(
        *("--model", "--config-file"),
        dest="config_file",
        default=default,
        required=default is None,
        metavar="MODEL",
        help="name of a model (`fgaseg-d2 models` lists them) or of a bundled configuration; a "
        "YAML file; the folder of a training run or of `fgaseg-d2 export`; or hf://owner/name, a "
        "repository on a hub" + ("" if default is None else " (default: %(default)s)"),
    )


def add_weights(parser: argparse._ActionsContainer) -> None:
    """Add --weights and --device, for a model that predicts."""
    parser.add_argument(
        "--weights", metavar="FILE", help="checkpoint (default: the configuration's)"
    )
    parser.add_argument("--device", help="such as cuda or cpu (default: the GPU if there is one)")


def count(text: str) -> int:
    """Type of an argument: a whole number of 0 or more."""
    return _whole_number(text, 0, _MOST)


def positive(text: str) -> int:
    """Type of an argument: a whole number of 1 or more."""
    return _whole_number(text, 1, _MOST)


def path(text: str) -> Path:
    """Type of an argument: a file or a folder; ``~`` is the home folder, quoted as well."""
    return Path(place(text))


def place(text: str) -> str:
    """Type of an argument: a file, a folder or an address, as text; ``~`` is the home folder."""
    return os.path.expanduser(text)


def picture_file(text: str) -> Path:
    """Type of an argument: a file to write a drawing into, whose ending is known."""
    file = path(text)
    if file.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .png or .jpg, got {text!r}")
    return file


def between(least: int, most: int) -> Callable[[str], int]:
    """Type of an argument: a whole number of least .. most."""
    return lambda text: _whole_number(text, least, most)


def _whole_number(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    wanted = f"{least} or more" if most == _MOST and number < least else f"{least} .. {most}"
    if not least <= number <= most:
        text = f"{text[:20]}..." if len(text) > 20 else text
        raise argparse.ArgumentTypeError(f"expected a whole number of {wanted}, got {text!r}")
    return number


def say(line: str) -> None:
    """Write a line to standard output, at once even where that is a pipe or a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def let_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait, unless the user has chosen; torch comes later.

    They spin otherwise, and where another program uses the same cores a model takes many times as
    long; docs/PERFORMANCE.md has figures. GNU's and Intel's OpenMP read the environment when torch
    is imported, so that by then there is nothing to be done. Processes that are started inherit it.
    """
    if "torch" not in sys.modules and not _CHOICES & os.environ.keys():
        os.environ.update(_SLEEP)


def _nothing_to_check(options: argparse.Namespace) -> None:
    """Leave a command line as it is."""


@dataclass(frozen=True)
class Command:
    """What `fgaseg-d2 NAME` does, and a program of a checkout that does the same.

    Attributes:
        description: what --help says first.
        add_arguments: describes the command line to a parser.
        run: does what it asks for; returns how many things failed that it has told of itself, or
            None.
        epilog: what --help says last.
        check: raises a ValueError or an OSError for what can be told before the package is
            imported, which takes seconds.
    """

    description: str
    add_arguments: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int | None]
    epilog: str = ""
    check: Callable[[argparse.Namespace], None] = _nothing_to_check

    def build_parser(self, name: str | None = None) -> Parser:
        """Describe the command line.

        Args:
            name: what it is called by; None for the name of this process's program.
        """
        parser = Parser(
            name,
            description=textwrap.fill(self.description),
            epilog=self.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        return parser

    def main(self, arguments: Sequence[str] | None = None, name: str | None = None) -> int:
        """Read a command line and do what it asks for, as :func:`run_command`."""
        return run_command(self.build_parser(name), self.run, arguments, self.check)


def run_command(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int | None],
    arguments: Sequence[str] | None,
    check: Callable[[argparse.Namespace], None] = _nothing_to_check,
) -> int:
    """Read a command line and do what it asks for; a user's mistakes are reported in one line.

    Args:
        parser: of the program; options may stand between words.
        command, check: as :class:`Command` has them.
        arguments: words after the program's name; None takes those of this process.

    Returns:
        Exit code: 0; 1 if something failed; 2 after a wrong command line; 130 after Ctrl-C.

    Raises:
        SystemExit: after --help, with code 0, and after a wrong option, with code 2.
    """
    options = parser.parse_intermixed_args(arguments)
    let_threads_sleep()
    try:
        check(options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    try:
        # Only now, because it takes seconds.
        from fgaseg_d2.engine import errors
    except ImportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    failures: list[int | None] = []
    return errors.run(lambda: failures.append(command(options))) or int(any(failures))
