"""The command line of train_net.py: a dataset from outside, resuming, evaluation, bad input."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from functools import partial

import pytest
import torch

import train_net
from fgaseg_d2.data import register_storybook
from tests import datasets
from tests.conftest import ROOT
from tests.demo_tools import SLOW, imported
from tests.processes import PATIENCE

OPTS = [
    *("DATASETS.TRAIN", "('outside',)", "DATASETS.TEST", "('outside',)", "SEED", "1"),
    *("SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "2", "SOLVER.CHECKPOINT_PERIOD", "1"),
    *("INPUT.CROP.SIZE", "[64, 64]", "INPUT.MIN_SIZE_TRAIN", "(64,)"),
    *("DATALOADER.NUM_WORKERS", "1"),
]


def command(*arguments, python=(), **variables):
    return subprocess.run(
        [sys.executable, *python, "train_net.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
        | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def call(monkeypatch, capture, *arguments):
    """Run the command line in this process; returns exit code and standard error."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["train_net.py", *map(str, arguments)])
    try:
        code = train_net.main()
    except SystemExit as error:
        code = error.code
    return code, capture.readouterr().err


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return datasets.write_module(tmp_path_factory.mktemp("outside"), name="outside")


def test_help_answers_at_once():
    done = command("--help", python=["-X", "importtime"])
    assert done.returncode == 0
    assert "argparse" in imported(done.stderr) and not SLOW & imported(done.stderr)
    for flag in (
        "--config-file",
        "--resume",
        "--eval-only",
        "--num-gpus",
        "--import",
        "--dist-url",
    ):
        assert flag in done.stdout


def test_train_resume_and_evaluate_a_dataset_from_outside(monkeypatch, capsys, tmp_path, module):
    """The first run is a program of its own, the others spare the imports."""
    flags = ["--config-file", "tests/data/small.yaml", "--import", module]
    output = ["OUTPUT_DIR", tmp_path / "output"]
    done = command(*flags, *OPTS, *output)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "output" / "model_0000000.pth").is_file()

    # A flag may stand between the changes.
    resume = [*flags, *OPTS, *output, "--resume", "SOLVER.MAX_ITER", "3"]
    code, err = call(monkeypatch, capsys, *resume)
    assert code == 0, err[-3000:]
    log = (tmp_path / "output" / "log.txt").read_text(encoding="utf-8")
    assert "Starting training from iteration 2" in log

    weights = ["MODEL.WEIGHTS", tmp_path / "output" / "model_final.pth"]
    elsewhere = ["OUTPUT_DIR", tmp_path / "evaluated"]
    code, err = call(monkeypatch, capsys, "--eval-only", *flags, *OPTS, *weights, *elsewhere)
    assert code == 0, err[-3000:]
    results = json.loads((tmp_path / "evaluated" / "results.json").read_text(encoding="utf-8"))
    assert 0 <= results["outside"]["mIoU"] <= 100


@pytest.mark.parametrize("names", [("first",), ("first", "second")])
def test_an_evaluation_lists_each_test_set_once(tmp_path, monkeypatch, capsys, names):
    listed = []

    def load(name, records):
        listed.append(name)
        return records

    evaluation = [*SMALL, "--eval-only", "DATASETS.TEST", names, "DATALOADER.NUM_WORKERS", 0]
    with ExitStack() as stack:
        for name in names:
            records = datasets.write_blocks(tmp_path / name, 2)
            stack.enter_context(datasets.registered(name, partial(load, name, records)))
        for run in (1, 2):
            output = tmp_path / f"run{run}"
            code, err = call(monkeypatch, capsys, *evaluation, "OUTPUT_DIR", output)
            assert code == 0, err
            # The next run asks again: pictures may have come.
            assert listed == [*names] * run
    assert json.loads((output / "results.json").read_text())[names[-1]]["pictures"] == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="processes would share the GPUs over NCCL")
def test_several_processes_report_an_error_in_one_line(monkeypatch, capfd, tmp_path, module):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    broken = tmp_path / "broken"
    text = module.read_text(encoding="utf-8").replace("'outside'", "'broken'")
    path = tmp_path / "broken.py"
    path.write_text(text.replace('".label.png"', '".gone.png"'), encoding="utf-8")
    code, shown = call(
        *(monkeypatch, capfd, *SMALL, "--import", path, "--num-gpus", 2, *OPTS),
        *("DATASETS.TRAIN", "('broken',)", "DATASETS.TEST", "()", "OUTPUT_DIR", broken),
    )
    assert code == 1
    lines = [line for line in shown.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and ".gone.png does not exist" in lines[0]
    assert "Traceback" not in shown


SMALL = ("--config-file", "tests/data/small.yaml")
HERE = ("DATASETS.TRAIN", "('storybook_train',)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config-file", "no/such.yaml"], "no/such.yaml"),
        ([*SMALL, "SOLVER.BASE_RL", "1"], "SOLVER.BASE_LR"),
        ([*SMALL, "SOLVER.MAX_ITER", "many"], "SOLVER.MAX_ITER"),
        ([*SMALL, "SOLVER.MAX_ITER"], "SOLVER.MAX_ITER"),
        ([*SMALL, "DATASETS.TRAIN", "('storybok_train',)"], "storybook_train"),
        ([*SMALL, "DATASETS.TRAIN", "()"], "DATASETS.TRAIN is empty"),
        ([*SMALL, "--eval-only", "DATASETS.TEST", "()"], "DATASETS.TEST is empty"),
        ([*SMALL, "--import", "no_such_file.py"], "no_such_file.py: there is no such file"),
        ([*SMALL, "--import", "no_such_module_at_all"], "no_such_module_at_all"),
        ([*SMALL, "--import", "."], "--import '.': expected the name of a module"),
        ([*SMALL, "--import", ""], "--import '': expected the name of a module"),
        ([*SMALL, "--import", "a..b"], "--import 'a..b': expected the name of a module"),
        ([*SMALL, "--import", "docs"], "a folder without __init__.py"),
        ([*SMALL, *HERE, "SOLVER.MAX_ITER", "0"], "expected SOLVER.MAX_ITER to be a whole number"),
        ([*SMALL, *HERE, "SOLVER.CHECKPOINT_PERIOD", "0"], "expected SOLVER.CHECKPOINT_PERIOD"),
        ([*SMALL, *HERE, "INPUT.CROP.SIZE", "[64]"], "expected INPUT.CROP.SIZE to be 2 values"),
        ([*SMALL, *HERE, "MODEL.META_ARCHITECTURE", "FGAsegg"], "expected MODEL.META_ARCHITECTURE"),
        ([*SMALL, *HERE, "DATASETS.TRAIN", "(5,)"], "expected DATASETS.TRAIN to be a list"),
        ([*SMALL, "--num-gpus", "0"], "expected --num-gpus"),
        ([*SMALL, "--num-machines", "2"], "expected --dist-url"),
    ],
)
def test_bad_command_lines_end_with_one_line(monkeypatch, capsys, tmp_path, arguments, message):
    code, err = call(monkeypatch, capsys, *arguments, "OUTPUT_DIR", tmp_path)
    assert code == 1
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0], err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os\n1 / 0\n", "ZeroDivisionError in {path}, line 2 (division by zero)"),
        ("a = (\n", "SyntaxError in {path}, line 1"),
        ("import no_such_thing\n", "No module named 'no_such_thing'"),
        ("raise SystemError('broken')\n", "SystemError in {path}, line 1 (broken)"),
    ],
)
def test_a_module_that_fails_is_one_line(monkeypatch, capsys, tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    code, err = call(monkeypatch, capsys, *SMALL, "--import", path, "OUTPUT_DIR", tmp_path)
    assert code == 1 and err.count("\n") == 1 and message.format(path=path) in err


@pytest.mark.parametrize("flags", [["--eval-only"], []])
def test_missing_weights_and_missing_files(monkeypatch, capsys, tmp_path, flags):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    with datasets.registered("here", datasets.write_blocks(tmp_path)):
        code, err = call(
            *(monkeypatch, capsys, *SMALL, *flags, "OUTPUT_DIR", tmp_path / "output"),
            *("DATASETS.TRAIN", "('here',)", "DATASETS.TEST", "('here',)"),
            *("MODEL.WEIGHTS", "/no/such.pth"),
        )
    assert code == 1
    assert err.splitlines()[-1].startswith("error: ") and "/no/such.pth" in err.splitlines()[-1]


@pytest.fixture
def closed_datasets(monkeypatch, tmp_path):
    """Storybook is registered where it can neither be found nor drawn: below a file."""
    (tmp_path / "closed").touch()
    with monkeypatch.context() as changed:
        changed.setenv("DETECTRON2_DATASETS", str(tmp_path / "closed"))
        register_storybook()
        yield tmp_path / "closed"
    register_storybook()


def test_missing_files_of_a_dataset(monkeypatch, capsys, tmp_path, closed_datasets):
    code, err = call(monkeypatch, capsys, *SMALL, *HERE, "OUTPUT_DIR", tmp_path / "output")
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith("error: expected to draw storybook_test into"), err
    assert str(closed_datasets) in last, err


@pytest.mark.parametrize("arguments", [[], ["--config-file"], [*SMALL, "--num-gpus", "two"]])
def test_wrong_flags_are_one_line_and_exit_code_2(monkeypatch, capsys, arguments):
    code, err = call(monkeypatch, capsys, *arguments)
    assert code == 2 and len(err.splitlines()) == 1 and err.startswith("error: ")


def test_traceback_on_demand(monkeypatch, capsys):
    monkeypatch.setenv("FGASEG_TRACEBACK", "1")
    code, err = call(monkeypatch, capsys, "--config-file", "no/such.yaml")
    assert code and "Traceback" in err and "FileNotFoundError" in err
    assert err.splitlines()[-1].startswith("error: expected a YAML file")


def test_clip_weights_that_cannot_be_read_are_one_line(monkeypatch, capsys, tmp_path, module):
    (tmp_path / "clip.pt").write_bytes(b"no checkpoint")
    code, err = call(
        *(monkeypatch, capsys, "--config-file", "tests/data/small.yaml", "--import", module),
        *(*OPTS, "OUTPUT_DIR", tmp_path / "out", "MODEL.CLIP.PRETRAINED", tmp_path / "clip.pt"),
    )
    assert code == 1
    assert "MODEL.CLIP.PRETRAINED" in err.splitlines()[-1]
    assert "Traceback" not in err
