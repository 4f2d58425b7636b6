"""A miniature study from the command line to table and plot, interrupted and continued."""

import json
import os
import signal
from pathlib import Path

import filelock
import pytest
import torch

from fgaseg_d2.data import register_storybook
from fgaseg_d2.storybook import write_dataset
from tests.conftest import ROOT, build, build_small, tool
from tests.processes import alive, children_of, command_of, interrupted_when

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
        {
            "name": "one word goes on",
            "test": {"MODEL.FGASEG.KEEP_CLASSES": 1},
            "paper": {"A-150": 29.0},
        },
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


@pytest.fixture
def here(folder, capsys):
    """Calls the tool in this process; returns exit code, standard output and standard error."""
    program, before = tool("run_study"), signal.getsignal(signal.SIGTERM)

    def run(*arguments, output="out"):
        try:
            code = program.main(["--output", str(folder / output), *map(str, arguments)])
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("OMP_NUM_THREADS", "1")
        changed.setenv("PYTHONPATH", str(ROOT))
        changed.setenv("CUDA_VISIBLE_DEVICES", "")
        changed.setenv("DETECTRON2_DATASETS", str(folder / "datasets"))
        register_storybook()
        yield run
    register_storybook()
    signal.signal(signal.SIGTERM, before)


def test_help_names_the_options(here):
    code, out, _ = here("--help")
    assert code == 0
    for flag in ("--seeds", "--weights", "--only", "--collect", "--jobs", "--scenes", "--opts"):
        assert flag in out


def test_a_study_from_end_to_end(folder, here):
    study = folder / "mini.yaml"
    weights = ["--weights", folder / "model.pth"]
    code, out, err = here(study, *weights, "--seeds", 0, "--iterations", 2)
    assert code == 0, out + err
    document = json.loads((folder / "out" / "mini.json").read_text())
    plain, fewer = document["rows"]
    assert [row["runs"][0]["state"] for row in document["rows"]] == ["finished"] * 2
    parameters = [parameter.numel() for parameter in build(folder / "train.yaml").parameters()]
    assert plain["runs"][0]["parameters"] == fewer["runs"][0]["parameters"] == sum(parameters)

    # The figures are those of the evaluation itself.
    own = folder / "out" / plain["runs"][0]["folder"]
    figures = json.loads((own / "results.json").read_text())["storybook_generalized_test"]
    assert plain["runs"][0]["figures"]["harmonic"] == figures["harmonic_mIoU"]
    assert figures["pictures"] == 2 and plain["runs"][0]["seconds_per_picture"] > 0
    difference = fewer["difference"]["seen"]["mean"]
    assert difference == fewer["summary"]["seen"]["mean"] - plain["summary"]["seen"]["mean"]
    assert document["config"]["SOLVER.MAX_ITER"] == 2
    assert document["test_config"]["TEST.MAX_PICTURES"] == 2
    page = (folder / "out" / "mini.md").read_text()
    assert "one word goes on" in page and "mini.png" in page and "missing" not in page
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


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_an_interrupted_study_ends_its_runs_and_continues(folder, here):
    study = ["--weights", folder / "model.pth", "--seeds", 4, "--only", "plain", "--jobs", 1]
    study = [folder / "mini.yaml", *study, "--iterations", 100_000]
    run = folder / "stopped" / "runs" / "default" / "seed4"
    for sent in (signal.SIGINT, signal.SIGTERM):
        known, children = last_checkpoint(run), set()

        def training_has_got_further(known=known, children=children):
            ours = children_of(os.getpid())
            children.update(pid for pid in ours if b"train_net.py" in command_of(pid))
            return last_checkpoint(run) != known

        with interrupted_when(training_has_got_further, sent):
            code, out, err = here(*study, output="stopped")
        assert code == 130
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
