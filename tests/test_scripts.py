"""Shell scripts: help is help, and a wrong command line starts nothing."""

import os
import subprocess

import pytest

from tests.conftest import ROOT
from tests.processes import PATIENCE

TRAIN = "tools/train_storybook.sh"
SCRIPTS = (TRAIN, ".ci/run")


def run(script, *arguments, path, **variables):
    """Run a script where programs only note that they were started; training fails at once."""
    for name in ("make", "python"):
        (path / name).write_text(
            '#!/bin/sh\necho "$@" >> "$STARTED"\ncase "$1" in *train_net.py) exit 7;; esac\n'
        )
        (path / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{path}:{os.environ['PATH']}",
        "PYTHON": str(path / "python"),
        "STARTED": str(path / "started"),
        "HOME": str(path / "home"),
    }
    return subprocess.run(
        ["bash", str(ROOT / script), *arguments],
        cwd=path,
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def started(path):
    return (path / "started").read_text().splitlines() if (path / "started").exists() else []


def test_every_script_is_tried():
    found = {
        file.relative_to(ROOT).as_posix()
        for folder in (ROOT / "tools", ROOT / ".ci", ROOT / "demo")
        for file in folder.iterdir()
        if file.is_file() and file.read_bytes().startswith((b"#!/usr/bin/env bash", b"#!/bin/"))
    }
    assert found == set(SCRIPTS)


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_help_starts_nothing(script, flag, tmp_path):
    done = run(script, flag, path=tmp_path)
    assert done.returncode == 0 and f"Usage: {script}" in done.stdout and done.stderr == ""
    assert started(tmp_path) == []


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (TRAIN, ["--output", "a"], "unknown option '--output'"),
        (TRAIN, ["-x"], "unknown option '-x'"),
        (TRAIN, ["a", "b"], "expected one folder at most, got 2 words"),
        (TRAIN, ["a", "--help"], "expected one folder at most, got 2 words"),
        (TRAIN, [""], "expected the name of a folder, got nothing"),
        (TRAIN, ["python"], "expected a folder at"),
        (".ci/run", ["tests"], "expected no arguments, got 'tests'"),
        (".ci/run", [""], "expected no arguments, got ''"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_starts_nothing(script, arguments, message, tmp_path):
    done = run(script, *arguments, path=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"see {script} --help\n") and started(tmp_path) == []


def test_a_python_that_is_not_there(tmp_path):
    done = run(TRAIN, path=tmp_path, PYTHON="/no/such/python")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "expected Python at '/no/such/python'" in done.stderr


@pytest.mark.parametrize(
    ("given", "folder"), [("~/runs", "home/runs"), ("runs", "runs"), ("./a b", "./a b")]
)
def test_the_folder_is_where_the_user_means(given, folder, tmp_path):
    done = run(TRAIN, given, path=tmp_path)
    assert done.returncode == 7
    drawing, training = started(tmp_path)
    assert drawing.startswith("tools/make_storybook.py")
    assert training.endswith(f"OUTPUT_DIR {tmp_path}/{folder}/contrastive")
