"""Bad inputs of every kind are answered; and whoever asks that notices an answer that is none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bad_inputs.case import Case
from bad_inputs.judging import Outcome, judge_error, judge_message, judge_return
from bad_inputs.kinds import KINDS, make_case
from bad_inputs.material import Material
from bad_inputs.workers import Limits, Tried, try_input
from detectron2.config import CfgNode
from PIL import Image

from tests.conftest import ROOT, tool
from tests.processes import PATIENCE, alive, wait_until

program = tool("try_bad_inputs")


@pytest.fixture
def small_material(tmp_path):
    """As much of what inputs share as these kinds need: sound files, no model."""
    for name in ("pictures", "labels"):
        (tmp_path / "shared" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8)).save(tmp_path / "shared" / name / f"{number}.png")
    return Material(tmp_path / "shared", Path(), CfgNode(), None, {}, None, {})


def fail(error):
    raise error


def wait_for_ever():
    os.mkfifo("pipe")
    with open("pipe", "rb"):
        pass


def compute_for_ever():
    while True:
        pass


def start_something(number):
    """Leave a process behind, which would go on for an hour."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    return number


@pytest.mark.parametrize(
    ("door", "verdict", "note"),
    [
        (lambda: None, "works", ""),
        (lambda: 0, "works", ""),
        (lambda: fail(ValueError("expected a cat, got a dog")), "refused", "got a dog"),
        (lambda: fail(SystemExit("error: expected a cat")), "message", "is an error"),
        (lambda: 1, "message", "is an error"),
        (lambda: sys.stderr.write("error: check the path\n") and 2, "refused", "check the path"),
        (lambda: 3, "message", "exit code 3"),
        (lambda: fail(KeyError("cat")), "traceback", "KeyError"),
        (lambda: fail(AssertionError("nonsense")), "traceback", "nonsense"),
        (lambda: fail(ValueError("expected\none line")), "message", "more than one line"),
        (lambda: fail(ValueError(f"expected {'x' * 600}")), "message", "609 characters"),
        (lambda: fail(OSError(28, "No space left")), "message", "neither"),
        (lambda: fail(RecursionError("too deep")), "traceback", "RecursionError"),
        (lambda: os.kill(os.getpid(), 11), "crash", "SIGSEGV"),
        (lambda: os._exit(0), "crash", "ended early"),
        (lambda: None if b"x" * (300 * 2**20) else 1, "memory", "MiB more than before"),
        (lambda: bytearray(2**40), "memory", "MemoryError"),
        (compute_for_ever, "hang", "computed without an end"),
        (wait_for_ever, "hang", "waited without an end"),
        (lambda: start_something(0), "works", ""),
    ],
)
def test_what_is_no_answer_is_noticed(door, verdict, note, tmp_path):
    limits = Limits(processor_seconds=2, wall_seconds=10, memory=200, address_space=2048)
    # What computes has time to reach its bound, whatever else the machine does.
    if verdict != "hang" or door is compute_for_ever:
        limits = Limits(**(vars(limits) | {"wall_seconds": PATIENCE}))
    tried = try_input(lambda folder: Case("a case", door), tmp_path / "one", limits)
    assert tried.text == "a case"
    assert tried.outcome.verdict == verdict, tried
    assert note in tried.outcome.note
    assert tried.outcome.good == (verdict in ("works", "refused"))


def test_a_traceback_on_the_way_is_noticed(tmp_path):
    def door():
        sys.stderr.write("Traceback (most recent call last)\nKeyError: 3\n")

    tried = try_input(lambda folder: Case("", door), tmp_path / "one", Limits())
    assert tried.outcome == ("traceback", "KeyError: 3")
    assert judge_error(ValueError("expected it"), tried.output).verdict == "traceback"
    assert judge_return(1, f"{tried.output}error: expected it").verdict == "traceback"


def test_a_broken_recipe_is_no_answer(tmp_path):
    tried = try_input(lambda folder: fail(ValueError("expected it")), tmp_path / "one", Limits())
    assert tried.outcome.verdict == "crash"
    assert "ValueError: expected it" in tried.output


def test_each_input_has_a_folder_of_its_own_and_leaves_no_process(tmp_path):
    def door():
        started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        (tmp_path / "process").write_text(str(started.pid))
        assert not os.listdir(".") and os.path.expanduser("~") == os.getcwd()

    tried = try_input(lambda folder: Case("", door), tmp_path / "one", Limits())
    assert tried.outcome.verdict == "works", tried.output
    left = int((tmp_path / "process").read_text())
    wait_until(lambda: not alive(left))


def test_a_failure_is_told_with_the_command_that_repeats_it():
    tried = Tried("EXIF: 9", Outcome("traceback", "KeyError: 9"), "", 0.1)
    text = program._complaint("picture", 12, 7, tried)
    assert "EXIF: 9" in text and "KeyError: 9" in text
    command = re.search(r"try_bad_inputs\.py (.*)$", text)[1]
    options = program.build_parser().parse_args(command.split())
    assert (options.seed, list(program._inputs(options))) == (7, [("picture", 12)])


def test_kinds_take_turns():
    options = program.build_parser().parse_args(["--inputs", "5", "--kinds", "label", "picture"])
    expected = [("label", 0), ("picture", 0), ("label", 1), ("picture", 1), ("label", 2)]
    assert list(program._inputs(options)) == expected


@pytest.mark.parametrize("only", ["checkpoint", "none:1", "checkpoint:-1", ":"])
def test_only_names_one_input(only, capsys):
    assert program.main(["--only", only]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: expected --only KIND:NUMBER") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("message", "good"),
    [
        ("expected a file, got nothing", True),
        ("unknown key X; did you mean Y?", True),
        ("[Errno 2] No such file or directory: 'expected'", False),
        ("something is wrong", False),
        ("", False),
    ],
)
def test_a_message_says_what_was_expected_or_what_to_do(message, good):
    assert judge_message(message).good == good


@pytest.mark.parametrize("kind", ["vocabulary", "prediction"])
def test_the_same_seed_draws_the_same_inputs(kind, small_material, tmp_path):
    """Whatever was drawn before; another seed draws others."""

    def drawn(seed, name):
        folders = [tmp_path / f"{name}{number}" for number in range(8)]
        for folder in folders:
            folder.mkdir()
        return [
            make_case(kind, number, seed, small_material, folder).text.replace(str(folder), "")
            for number, folder in enumerate(folders)
        ]

    first = drawn(5, "first")
    assert len(set(first)) > 4
    assert first == drawn(5, "again") != drawn(6, "other")


@pytest.mark.parametrize("each", [20, pytest.param(80, marks=pytest.mark.slow)])
def test_bad_inputs_of_every_kind_are_answered(each):
    """The short form of the tool, as a program that loads the libraries once for all inputs."""
    assert max(map(len, KINDS.values())) <= each, "a recipe is not tried"
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "try_bad_inputs.py")]
        + ["--inputs", str(each * len(KINDS)), "--seed", "13"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert rows["kind"][:3] == ["inputs", "works", "refused"]
    for kind in program.KINDS:
        inputs, works, refused, *unanswered = map(int, rows[kind])
        assert inputs == works + refused == each and not any(unanswered), kind
        # Neither is all that is drawn refused for one reason, nor is it all sound.
        assert works and refused, kind
    assert "Traceback" not in done.stderr
