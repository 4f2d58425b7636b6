"""Threads that spin while they wait: programs let them sleep, the library says where it hurts."""

import json
import os
import subprocess
import sys

import pytest
import torch

from fgaseg_d2 import OpenVocabPredictor
from fgaseg_d2.engine import FGASegTrainer, testing
from fgaseg_d2.modeling import waiting
from fgaseg_d2.modeling.waiting import Overhead
from fgaseg_d2_cli import command_line, segment, train
from tests.conftest import ROOT, config, tool
from tests.engine import training

CHOICES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT", "KMP_LIBRARY")
ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


@pytest.mark.parametrize(
    ("chosen", "torch_is_there", "expected"),
    [
        ({}, False, ASLEEP),
        ({}, True, {}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, False, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "1000"}, False, {"GOMP_SPINCOUNT": "1000"}),
        ({"KMP_BLOCKTIME": "200"}, False, {"KMP_BLOCKTIME": "200"}),
    ],
)
def test_programs_let_threads_sleep_unless_the_user_has_chosen(
    monkeypatch, chosen, torch_is_there, expected
):
    monkeypatch.setattr(os, "environ", {"HOME": "/", **chosen})
    monkeypatch.setattr(sys, "modules", {"torch": torch} if torch_is_there else {})
    command_line.let_threads_sleep()
    assert {name: os.environ[name] for name in CHOICES if name in os.environ} == expected


def test_a_program_has_it_in_its_environment(tmp_path):
    """The user's module that train_net.py imports says what it found."""
    module = tmp_path / "says.py"
    module.write_text(
        "import json, os, pathlib\n"
        "names = ('OMP_WAIT_POLICY', 'KMP_BLOCKTIME')\n"
        f"path = pathlib.Path({str(tmp_path / 'found.json')!r})\n"
        "path.write_text(json.dumps({name: os.environ.get(name) for name in names}))\n"
        "raise ValueError('that is all')\n",
        encoding="utf-8",
    )
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "train_net.py"), "--config-file", "tests/data/small.yaml"),
            *("--import", str(module), "OUTPUT_DIR", str(tmp_path / "output")),
        ],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "that is all" in done.stderr
    assert json.loads((tmp_path / "found.json").read_text(encoding="utf-8")) == ASLEEP


class CalledError(Exception):
    pass


def call():
    raise CalledError


def test_every_program_asks_for_it_before_it_imports_the_package(monkeypatch):
    monkeypatch.setattr(command_line, "let_threads_sleep", call)
    for command in (train.TRAIN_NET, train.EVALUATE):
        with pytest.raises(CalledError):
            command.main(["--config-file", "tiny"])
    with pytest.raises(CalledError):
        segment.COMMAND.main(["--input", "picture.png", "--vocab", "cat"])
    with pytest.raises(CalledError):
        tool("benchmark").main([])


@pytest.mark.parametrize(
    ("ratio", "seconds", "expected"),
    [
        (2.4, 2e-5, False),  # alone on the machine
        (350, 5e-3, True),  # beside one busy program
        (21, 3e-3, False),  # asleep, beside several
        (80, 5e-5, False),  # very many threads
    ],
)
def test_what_counts_as_spinning(ratio, seconds, expected):
    assert Overhead(ratio, seconds).is_spinning is expected


_ONE_CORE = """
import importlib.util, os, sys, torch
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
spec = importlib.util.spec_from_file_location("waiting", sys.argv[1])
waiting = importlib.util.module_from_spec(spec)
sys.modules["waiting"] = waiting
spec.loader.exec_module(waiting)
torch.set_num_threads(2)
sys.stdout.write(str(any(waiting.measure_overhead().is_spinning for _ in range(5))))
"""


# On a machine of one core GNU's OpenMP does not spin even where it is told to be active.
@pytest.mark.parametrize(
    ("policy", "expected"), [("ACTIVE", len(os.sched_getaffinity(0)) > 1), ("PASSIVE", False)]
)
def test_two_threads_on_one_core(policy, expected):
    """The scheduler decides here, and not the speed: a thread that spins keeps the other out."""
    done = subprocess.run(
        [sys.executable, "-c", _ONE_CORE, str(ROOT / "fgaseg_d2" / "modeling" / "waiting.py")],
        env=os.environ | {"OMP_WAIT_POLICY": policy},
        capture_output=True,
        text=True,
    )
    assert done.stdout == str(expected), done.stderr


@pytest.fixture
def spinning(monkeypatch):
    """Two threads, and the state of a machine that another program uses, whatever the call took."""
    looked = []

    def measure():
        looked.append(1)
        return Overhead(400, 5e-3)

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(waiting, "_LONG", 0)
    monkeypatch.setattr(waiting, "measure_overhead", measure)
    monkeypatch.setattr(waiting.check_waiting, "said", False)
    yield looked
    torch.set_num_threads(threads)


def warnings_in(caplog):
    return [record for record in caplog.records if "OMP_WAIT_POLICY" in record.getMessage()]


def test_predictor_says_it_once(spinning, caplog):
    predictor = OpenVocabPredictor(config("tests/data/small.yaml"))
    image = torch.zeros(40, 50, 3, dtype=torch.uint8).numpy()
    for _ in range(2):
        predictor(image, "cat,dog")
    (warning,) = warnings_in(caplog)
    assert warning.levelname == "WARNING" and len(warning.getMessage()) < 400
    assert "KMP_BLOCKTIME=0" in warning.getMessage() and len(spinning) == 1


def test_evaluation_and_training_say_it(spinning, tmp_path):
    training.register_blocks(tmp_path)
    cfg = training.training_config(tmp_path, "DATASETS.TEST", ("blocks",), "SOLVER.MAX_ITER", 1)
    testing.evaluate(cfg, FGASegTrainer)
    assert waiting.check_waiting.said and len(spinning) == 1
    waiting.check_waiting.said = False
    training.train(training.training_config(tmp_path, "SOLVER.MAX_ITER", 1))
    assert waiting.check_waiting.said and len(spinning) == 2


def test_nothing_to_look_for(spinning, monkeypatch):
    look = waiting.WaitingCheck()
    look(10.0, torch.device("cuda"))
    torch.set_num_threads(1)
    look(10.0, torch.device("cpu"))
    monkeypatch.setattr(waiting, "_LONG", 0.5)
    torch.set_num_threads(2)
    look(0.4, torch.device("cpu"))
    assert not spinning and not look.said
    look(0.6, torch.device("cpu"))
    assert spinning and look.said
