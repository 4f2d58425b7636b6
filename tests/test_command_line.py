"""What the programs of tools/ have in common: how they read their command lines and end."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from fgaseg_d2.engine import errors
from tests.conftest import ROOT, tool
from tests.demo_tools import SLOW, environment, imported
from tests.processes import PATIENCE

command_line = tool("command_line")
# That program runs before anything is installed, and by itself.
OTHERS = {"command_line", "install_detectron2"}
PROGRAMS = sorted({path.stem for path in (ROOT / "tools").glob("*.py")} - OTHERS)


def start(program: str, *arguments: str, path: Path, python: tuple[str, ...] = ()):
    """Run a program in another folder, where Python also looks for packages first."""
    return subprocess.run(
        [sys.executable, *python, str(ROOT / "tools" / f"{program}.py"), *arguments],
        cwd=path,
        env=environment() | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_answers_at_once(program, tmp_path):
    done = start(program, "--help", python=("-X", "importtime"), path=tmp_path)
    assert done.returncode == 0 and f"usage: {program}.py" in done.stdout
    assert "command_line" in imported(done.stderr) and not SLOW & imported(done.stderr)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(program, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"tools/{program}.py", "--no-such-option"])
    with pytest.raises(SystemExit) as stop:
        tool(program).main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.endswith(f"; see {program}.py --help\n")
    assert error.count("\n") == 1


def test_numbers_within_the_range():
    assert [command_line.count(word) for word in ("0", "12")] == [0, 12]
    assert [command_line.positive(word) for word in ("1", "12")] == [1, 12]


@pytest.mark.parametrize(
    ("kind", "word", "message"),
    [
        (command_line.count, "-1", "expected a whole number of 0 or more, got '-1'"),
        (command_line.count, "1.5", "expected a whole number of 0 or more, got '1.5'"),
        (command_line.positive, "0", "expected a whole number of 1 or more, got '0'"),
        (command_line.positive, "many", "expected a whole number of 1 or more, got 'many'"),
        (
            command_line.picture_file,
            "a.xyz",
            "expected a name that ends in .png or .jpg, got 'a.xyz'; see",
        ),
        (command_line.picture_file, "", "expected a name that ends in .png or .jpg, got ''"),
        (command_line.picture_file, "folder/", "expected a name that ends in .png or .jpg"),
        (command_line.positive, "9" * 30, "expected a whole number of 1 .. 2147483647, got '9999"),
        (command_line.count, "9" * 5000, "expected a whole number of 0 or more, got '9999"),
        (command_line.between(2, 5), "6", "expected a whole number of 2 .. 5, got '6'"),
        (command_line.between(2, 5), "1", "expected a whole number of 2 .. 5, got '1'"),
        (command_line.between(2, 5), "", "expected a whole number of 2 .. 5, got ''"),
    ],
)
def test_other_values_are_refused(kind, word, message, capsys):
    parser = command_line.Parser()
    parser.add_argument("--number", type=kind)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--number={word}"])
    error = capsys.readouterr().err
    assert f"argument --number: {message}" in error and error.count("\n") == 1


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (lambda options: None, 0, ""),
        (lambda options: 0, 0, ""),
        (lambda options: 3, 1, ""),
        (lambda options: fail(ValueError("expected more")), 1, "error: expected more\n"),
        (lambda options: fail(KeyboardInterrupt()), 130, "interrupted\n"),
    ],
)
def test_exit_codes(command, code, message, capsys):
    assert command_line.run_command(argparse.ArgumentParser(), command, []) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("start_of_the_package", "code", "message"),
    [
        ("raise ImportError('torch is not installed')", 1, "error: torch is not installed\n"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
    ],
)
def test_what_ends_the_import_is_one_line(start_of_the_package, code, message, tmp_path):
    (tmp_path / "fgaseg_d2").mkdir()
    (tmp_path / "fgaseg_d2" / "__init__.py").write_text(start_of_the_package)
    done = start("check_dataset", "tiny", path=tmp_path)
    assert (done.returncode, done.stderr) == (code, message)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_says_of_every_option_what_it_is_and_what_it_is_by_default(program):
    for action in tool(program).build_parser()._actions:
        assert len(action.help or "") > 10, action.dest
        if action.default not in (None, False, "", [], (), argparse.SUPPRESS):
            assert "default" in action.help, action.dest


@pytest.mark.parametrize(
    "arguments",
    [["--workers", "9" * 10_000], ["--root", "a", "--" + "x" * 10_000], ["--val", "a\nb" * 500]],
)
def test_what_a_person_gave_is_shortened(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        tool("make_storybook").build_parser().parse_args(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and len(error) < 400


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("got " + "x\n" * 9000 + "; do that"), "error: got x x"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), "enough memory"),
        (MemoryError(), "enough memory"),
        (FileNotFoundError(2, "No such file", "a" * 9000), "error: "),
    ],
)
def test_an_error_is_one_short_line(error, message, capsys):
    def fail():
        raise error

    assert errors.run(fail) == 1
    line = capsys.readouterr().err
    assert message in line and line.count("\n") == 1 and len(line) <= 420


def test_an_error_of_ours_passes():
    with pytest.raises(RuntimeError, match="of ours"):
        errors.run(lambda: (_ for _ in ()).throw(RuntimeError("of ours")))
