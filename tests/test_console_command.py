"""The console command `fgaseg-d2`, from a wheel in a fresh folder, away from the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fgaseg_d2
from fgaseg_d2_cli import __main__ as console
from tests.conftest import ROOT
from tests.demo_tools import SLOW, environment, imported
from tests.processes import PATIENCE
from tests.wheels import build_wheel

COMMANDS = tuple(console._COMMANDS)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that a wheel was installed into."""
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(folder), str(wheel)], check=True)
    return folder


def run(folder, *arguments, cwd, python=(), **variables):
    """Run the installed command in another folder."""
    return subprocess.run(
        [sys.executable, *python, str(folder / "bin" / "fgaseg-d2"), *map(str, arguments)],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(folder)} | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("segment", "--help"), ("--version",)])
def test_help_answers_without_the_libraries(installed, tmp_path, arguments):
    done = run(installed, *arguments, cwd=tmp_path, python=("-X", "importtime"))
    assert done.returncode == 0, done.stderr
    packages = imported(done.stderr)
    assert "fgaseg_d2_cli" in packages and not (SLOW | {"numpy", "PIL", "tqdm"}) & packages
    if arguments == ("--version",):
        assert done.stdout.strip() == fgaseg_d2.__version__
    else:
        assert done.stdout.startswith(f"usage: fgaseg-d2 {'' if len(arguments) == 1 else 'segm'}")


def test_words_on_a_picture_of_ones_own(installed, tmp_path):
    """In a folder with that picture alone; the package that answers is the installed one."""
    shutil.copy(ROOT / "demo" / "scenes" / "village.jpg", tmp_path / "my village.jpg")
    where = "import fgaseg_d2, pathlib; pathlib.Path('where').write_text(fgaseg_d2.__file__)"
    (tmp_path / "says.py").write_text(where)
    done = run(
        *(installed, "segment", "my village.jpg", "--vocab", "red house, sky", "--output", "out"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "my village.json").read_text())
    assert list(found["shares"]) == ["red house", "sky"] and 0 < found["shares"]["sky"] < 1
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"my village.json", "my village_labels.png", "my village_overlay.jpg"}
    done = run(
        installed, "train", "--config-file", "tiny", "--import", "says.py", "X", "1", cwd=tmp_path
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "key X" in done.stderr
    assert (tmp_path / "where").read_text().startswith(str(installed))


def test_what_is_not_there_is_said_before_the_libraries_load(installed, tmp_path):
    done = run(installed, "segment", "none.png", cwd=tmp_path, python=("-X", "importtime"))
    assert done.returncode == 2 and not SLOW & imported(done.stderr)
    assert done.stderr.splitlines()[-1].startswith("error: expected a picture, a video, a folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["segmnet"], "expected a command, got 'segmnet'; did you mean 'segment'?"),
        (["photo.jpg"], "expected a command, got 'photo.jpg'; there are segment, page, train,"),
        (["--vocab", "cat"], "the following arguments are required: COMMAND"),
        (["train"], "the following arguments are required: --model/--config-file"),
        (["prepare", "pascal"], "invalid choice: 'pascal'"),
        (["segment", "a.png", "--vocabulary", "cat"], "unrecognized arguments: --vocabulary"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        console.main(arguments)
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1)
    assert message in error and re.search(r"; see fgaseg-d2( \w+)? --help$", error)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name, capsys):
    with pytest.raises(SystemExit) as stop:
        console.main([name, "--help"])
    said = capsys.readouterr().out
    assert stop.value.code == 0 and said.startswith(f"usage: fgaseg-d2 {name} ")
    with pytest.raises(SystemExit):
        console.main(["--help"])
    assert re.search(rf"^  {name} +\w", capsys.readouterr().out, re.MULTILINE)


def test_a_command_does_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert console.main(["config", "tiny", "mine.yaml", "--opts", "SOLVER.MAX_ITER", "7"]) == 0
    assert "MAX_ITER: 7" in Path("mine.yaml").read_text()
    assert console.main(["config", "tinny", "mine.yaml"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: expected a YAML file") and "did you mean 'tiny'" in error


def test_programs_of_a_checkout_are_the_same_commands():
    """As they stand in Git, which has no shared code for them to drift from."""
    for program in ("train_net.py", "demo/demo.py", "tools/prepare_datasets.py"):
        done = subprocess.run(
            [sys.executable, str(ROOT / program), "--help"],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            cwd="/",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and done.stdout.startswith(f"usage: {Path(program).name}")


def test_the_wheel_has_one_console_command(installed):
    (points,) = installed.glob("fgaseg_d2-*.dist-info/entry_points.txt")
    assert points.read_text().split() == [
        *("[console_scripts]", "fgaseg-d2", "=", "fgaseg_d2_cli.__main__:main"),
    ]
