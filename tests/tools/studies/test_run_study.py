"""A miniature study from the command line to table and plot, interrupted and continued."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
import torch

from fgaseg_d2.storybook import write_dataset
from tests.conftest import ROOT, build_small, tool
from tests.demo_tools import SLOW, imported
from tests.processes import PATIENCE, alive, children_of, wait_until

TRAIN = """
_BASE_: {base}
MODEL: {{CLIP: {{IMAGE_SIZE: [32, 32]}}, FGASEG: {{LOSS: {{SAMPLED_CLASSES: 8}}}}}}
DATASETS: {{TRAIN: [storybook_train], TEST: []}}
INPUT: {{MIN_SIZE_TRAIN: [32], CROP: {{SIZE: [32, 32]}}}}
SOLVER: {{IMS_PER_BATCH: 1, MAX_ITER: 4, CHECKPOINT_PERIOD: 1}}
DATALOADER: {{NUM_WORKERS: 0}}
"""
TEST = """
_BASE_: {train}
DATASETS: {{TEST: [storybook_generalized_test, storybook_nouns_test]}}
TEST: {{MAX_PICTURES: 2, BOUNDARY_IOU: True}}
"""
STUDY = {
    "title": "A miniature",
    "question": "Does it work?",
    "train_config": "train.yaml",
    "test_config": "test.yaml",
    "default": "plain",
    "rows": [
        {"name": "plain", "paper": {"A-150": 30.0}},
        {"name": "no LCS", "train": {"MODEL.FGASEG.LCS.ENABLED": False}, "paper": {"A-150": 29.0}},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four scenes to train on, three to test on, a study, and a CLIP."""
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "datasets", "train", 4, height=64, width=64, workers=1)
    write_dataset(folder / "datasets", "test", 3, height=64, width=64, workers=1)
    (folder / "train.yaml").write_text(TRAIN.format(base=ROOT / "tests/data/small.yaml"))
    (folder / "test.yaml").write_text(TEST.format(train=folder / "train.yaml"))
    (folder / "mini.yaml").write_text(json.dumps(STUDY))
    torch.save({"model": build_small().state_dict()}, folder / "model.pth")
    return folder


def start(folder, *arguments, python=(), output="out"):
    program = [sys.executable, *python, "tools/run_study.py", "--output", folder / output]
    variables = {
        **{"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        "DETECTRON2_DATASETS": str(folder / "datasets"),
    }
    return subprocess.Popen(
        [*map(str, (*program, *arguments))],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts background jobs, such as a test run, with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def call(folder, *arguments, **options):
    process = start(folder, *arguments, **options)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """Calls the tool in this process; returns exit code, standard output and standard error."""
    program = tool("run_study")
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)

    def run(*arguments, output="out"):
        try:
            code = program.main(["--output", str(folder / output), *map(str, arguments)])
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def test_help_answers_at_once(tmp_path):
    code, out, err = call(tmp_path, "--help", python=["-X", "importtime"])
    assert code == 0 and "argparse" in imported(err) and not SLOW & imported(err)
    for flag in ("--seeds", "--weights", "--only", "--collect", "--jobs", "--scenes", "--opts"):
        assert flag in out


def test_a_study_from_end_to_end(folder, here):
    study = folder / "mini.yaml"
    weights = ["--weights", folder / "model.pth"]
    code, out, err = call(folder, study, *weights, "--seeds", 0, "--iterations", 2)
    assert code == 0, out + err
    document = json.loads((folder / "out" / "mini.json").read_text())
    plain, without = document["rows"]
    assert [row["runs"][0]["state"] for row in document["rows"]] == ["finished"] * 2
    assert plain["runs"][0]["parameters"] > without["runs"][0]["parameters"]

    # The figures are those of the evaluation itself.
    own = folder / "out" / plain["runs"][0]["folder"]
    figures = json.loads((own / "results.json").read_text())["storybook_generalized_test"]
    assert plain["runs"][0]["figures"]["harmonic"] == figures["harmonic_mIoU"]
    assert figures["pictures"] == 2 and plain["runs"][0]["seconds_per_picture"] > 0
    difference = without["difference"]["seen"]["mean"]
    assert difference == without["summary"]["seen"]["mean"] - plain["summary"]["seen"]["mean"]
    assert document["config"]["SOLVER.MAX_ITER"] == 2
    assert document["test_config"]["TEST.MAX_PICTURES"] == 2
    page = (folder / "out" / "mini.md").read_text()
    assert "no LCS" in page and "mini.png" in page and "missing" not in page
    assert (folder / "out" / "mini.png").stat().st_size > 5000

    (folder / "out" / "mini.md").unlink()
    code, out, _ = here(study, "--collect")
    assert code == 0 and (folder / "out" / "mini.md").read_text() == page

    code, _, err = here(study, "--iterations", 3)
    assert code == 1 and err.startswith("error: ") and "give another --output" in err
    assert len(err.splitlines()) == 1


def last_checkpoint(run):
    """The name of the checkpoint that a training would go on from; "" for none."""
    file = run / "last_checkpoint"
    return file.read_text() if file.is_file() else ""


def wait_for_checkpoint(process, run, known):
    """Wait until a training goes on from another than the one known; returns its name."""
    wait_until(lambda: last_checkpoint(run) != known or process.poll() is not None)
    assert process.poll() is None
    return last_checkpoint(run)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_an_interrupted_study_ends_its_runs_and_continues(folder):
    study = ["--weights", folder / "model.pth", "--seeds", 4, "--only", "plain", "--jobs", 1]
    study = [folder / "mini.yaml", *study, "--iterations", 100_000]
    run = folder / "stopped" / "runs" / "default" / "seed4"
    known = ""
    for sent in (signal.SIGINT, signal.SIGTERM):
        process = start(folder, *study, output="stopped")
        try:
            known = wait_for_checkpoint(process, run, known)
            children = children_of(process.pid)
            process.send_signal(sent)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        assert process.returncode == 130
        assert err.splitlines()[-1] == "interrupted; run the same command again to continue"
        assert children and not any(alive(pid) for pid in children)
        assert out.splitlines()[-1].endswith("mini.md: 2 missing")
    log = (run / "console.log").read_text()
    assert log.count("Starting training from iteration 0\n") == 1
    assert log.count("Starting training from iteration") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gama"], "did you mean 'gamma'"),
        (["gamma", "--only", "huge"], "--only: expected some of trainable from 0.01"),
        (["gamma", "--opts", "SEED"], "--opts: expected keys and values in turn"),
        (["gamma", "--opts", "MODEL.FGASEG.P2T.LAYER", "1"], "MODEL.FGASEG.P2T.LAYERS"),
        (["gamma", "--collect"], "got none; run without --collect first"),
        (["gamma", "--weights", "no.pth"], "no.pth"),
        (["gamma", "--seeds", "-1"], "expected a whole number of 0 or more"),
    ],
)
def test_bad_command_lines_end_with_one_line(here, arguments, message):
    code, _, err = here(*arguments, output="bad")
    assert code in (1, 2) and len(err.splitlines()) == 1 and message in err, err


def test_two_at_once_in_one_folder_are_refused(folder, here):
    (folder / "busy").mkdir()
    with filelock.FileLock(folder / "busy" / ".lock"):
        code, _, err = here("gamma", output="busy")
    assert code == 1 and "another run_study.py is at work" in err
