"""Wherever a program cannot write, it says in one line where, why, and what to do."""

import contextlib
import errno
import json
import os
import pickle
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from detectron2.utils.events import EventWriter
from detectron2.utils.file_io import PathManager

import train_net
from fgaseg_d2.checkpoint.files import write_checkpoint
from fgaseg_d2.engine import FGASegTrainer, errors, testing
from fgaseg_d2.io.file_errors import WriteError, writing
from fgaseg_d2.io.files import atomic_path
from tests import datasets
from tests.conftest import ROOT, build_small, tool
from tests.demo_tools import RANDOM, environment, in_process
from tests.engine import training
from tests.permissions import as_nobody, closed, open_folder
from tests.processes import PATIENCE
from tests.raw_trees import write as write_raw

BUNDLED = "fgaseg_d2://storybook_vit8.safetensors"


@pytest.fixture(scope="module")
def made():
    """A model, pictures, raw downloads and predictions, where every user can read them."""
    with open_folder() as folder:
        training.register_blocks(folder)
        datasets.write_module(folder / "module", "outside")
        torch.save({"model": build_small().state_dict()}, folder / "model.pth")
        weights = ("MODEL.WEIGHTS", str(folder / "model.pth"), "TEST.SAVE_PREDICTIONS", True)
        cfg = training.training_config(folder, "DATASETS.TEST", ("blocks",), *weights)
        testing.evaluate(cfg, FGASegTrainer)
        yield folder


@pytest.fixture
def place():
    with open_folder() as folder:
        yield folder / "place"


@pytest.fixture
def call(made, monkeypatch, capfd):
    """Calls a program that writes to a path; returns exit code and standard error."""
    run_demo = in_process(monkeypatch, capfd)
    monkeypatch.chdir(ROOT)
    predictions = made / "output" / "inference" / "blocks" / "predictions"
    model = str(made / "model.pth")

    def train(path, *more):
        module = str(made / "module" / "my_dataset.py")
        words = ["--config-file", "tests/data/small.yaml", "--import", module, "SEED", "1"]
        words += ["DATASETS.TRAIN", "('outside',)", "DATASETS.TEST", "('outside',)"]
        words += ["SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "1", "DATALOADER.NUM_WORKERS"]
        words += ["0", "INPUT.CROP.SIZE", "[64,64]", "INPUT.MIN_SIZE_TRAIN", "(64,)"]
        monkeypatch.setattr(sys, "argv", ["train_net.py", *words, "OUTPUT_DIR", path, *more])
        return train_net.main()

    def demo(path, *more):
        words = ["--input", made / "pictures" / "0.png", "--vocab", "cat,dog", "--output", path]
        return run_demo(*words, *more, *RANDOM)

    def bundled(path):
        monkeypatch.setenv("FVCORE_CACHE", str(made))
        monkeypatch.setattr("fgaseg_d2.checkpoint.files.get_cache_dir", lambda: path)
        return errors.run(lambda: PathManager.get_local_path(BUNDLED))

    def prepare(path):
        return tool("prepare_datasets").main(["ade20k_847", "--root", path])

    programs = {
        "train": train,
        "evaluate": lambda path: train(path, "--eval-only", "MODEL.WEIGHTS", model),
        "convert": lambda path: tool("convert_checkpoint").main([model, f"{path}/a.pth"]),
        "safetensors": lambda p: tool("convert_checkpoint").main([model, f"{p}/a.safetensors"]),
        "scores": lambda path: tool("evaluate_predictions").main(
            [str(predictions), "--output", path]
        ),
        "page": lambda path: tool("view_predictions").main(
            [str(predictions), "--output", f"{path}/a.html"]
        ),
        "sheet": lambda path: tool("view_predictions").main(
            [str(predictions), "--sheet", f"{path}/a.png"]
        ),
        "storybook": lambda path: tool("make_storybook").main(
            ["--root", path, "--train", "0", "--val", "2", "--test", "0"]
        ),
        "scene": lambda path: tool("make_storybook").main(
            ["--scene", "1", "--output", f"{path}/a.png"]
        ),
        "study": lambda path: tool("run_study").main(
            ["kernel", "--output", path, "--weights", model]
        ),
        "demo": demo,
        "explain": lambda path: demo(path, "--explain"),
        "bundled weights": bundled,
        "prepare": prepare,
    }

    def run(program, path):
        capfd.readouterr()
        result = programs[program](str(path))
        if isinstance(result, tuple):
            return result[0], result[2]
        return result, capfd.readouterr().err

    return run


PROGRAMS = (
    *("train", "evaluate", "convert", "safetensors", "scores", "page", "sheet", "storybook"),
    *("scene", "study", "demo", "explain", "bundled weights"),
)


def check(code: int, err: str, *wanted: str) -> None:
    """One line that says what, why and what to do."""
    last = err.strip().splitlines()[-1].rpartition("\r")[2]
    assert code in (1, 2) and last.startswith("error: "), err
    assert "Traceback" not in err and "[Errno" not in err
    for word in wanted:
        assert word in last, last
    assert "; " in last and len(last) < 450
    assert sum(line.startswith("error: ") for line in err.splitlines()) == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_file_in_the_place_of_a_folder(call, place, program):
    place.write_text("not a folder")
    code, err = call(program, place)
    check(code, err, str(place))
    assert place.read_text() == "not a folder"
    code, err = call(program, place / "below")
    check(code, err, str(place))
    assert os.listdir(place.parent) == ["place"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_permission(call, place, program):
    place.mkdir()
    with closed(place):
        code, err = call(program, place)
    check(code, err, str(place), "Permission denied")
    assert os.listdir(place) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_below_a_device(call, program):
    before = sorted(os.listdir("/dev"))
    code, err = call(program, "/dev/null")
    check(code, err, "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert sorted(os.listdir("/dev")) == before


def test_what_a_killed_training_left_goes_with_the_next(call, place):
    place.mkdir()
    (place / ".partial-0a1b2c3d.pth").write_bytes(b"half a checkpoint")
    assert call("train", place)[0] == 0
    assert (place / "model_final.pth").is_file() and not list(place.glob(".partial-*"))


def test_prepared_datasets_that_cannot_be_written(call, place):
    place.mkdir()
    write_raw("ade20k_847", place)
    base = place / "ADE20K_2021_17_01"
    base.chmod(0o555)
    with as_nobody():
        code, err = call("prepare", place)
    base.chmod(0o755)
    check(code, err, str(base), "Permission denied", "run the same command again")


@pytest.mark.parametrize("option", ["--output", "--sheet"])
def test_a_file_never_replaces_a_folder(made, place, capfd, option):
    folder = str(made / "output" / "inference" / "blocks" / "predictions")
    target = place.with_suffix(".png")
    target.mkdir()
    code = tool("view_predictions").main([folder, option, str(target)])
    check(code, capfd.readouterr().err, str(target), "it is a folder")
    assert target.is_dir()


def test_a_file_never_replaces_a_device(made, capfd):
    folder = str(made / "output" / "inference" / "blocks" / "predictions")
    code = tool("view_predictions").main([folder, "--output", "/dev/full"])
    check(code, capfd.readouterr().err, "/dev/full", "it is a device")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_standard_output_on_a_full_disk(made, place, capfd, monkeypatch):
    folder = str(made / "output" / "inference" / "blocks" / "predictions")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = tool("evaluate_predictions").main([folder, "--output", str(place)])
        monkeypatch.undo()
    check(code, capfd.readouterr().err, "standard output", "No space left on device")


@contextlib.contextmanager
def little_room(size: int):
    """No file may grow beyond a size in the block, as on a disk that gets full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_checkpoint_for_which_there_is_no_room(place, name):
    tensors = {"w": torch.ones(100_000)}
    write_checkpoint(place / name, {"w": torch.zeros(3)})
    before = (place / name).read_bytes()
    with little_room(50_000), pytest.raises(WriteError) as caught:
        write_checkpoint(place / name, tensors)
    assert str(caught.value) == (
        f"cannot write {place / name}: File too large; raise the limit on the size of a file "
        "(ulimit -f) or choose another folder"
    )
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(place) == [name] and (place / name).read_bytes() == before


# Trains once for each limit in bytes, in processes that share the imports; the words after the
# limits are the command line. Each leaves its exit code and standard error in a folder.
LIMITED = """
import json, os, resource, sys, train_net
import fgaseg_d2.engine
limits, folder, *words = sys.argv[1:]
for limit in map(int, limits.split(",")):
    if not os.fork():
        os.dup2(os.open(f"{folder}/{limit}.err", os.O_WRONLY | os.O_CREAT), 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sys.exit(train_net.main([*words, "OUTPUT_DIR", f"{folder}/{limit}"]))
    with open(f"{folder}/{limit}.code", "w") as file:
        json.dump(os.waitstatus_to_exitcode(os.wait()[1]), file)
"""


@pytest.fixture(scope="module")
def limited(made):
    """What trainings did for which there was no room, by the limit in bytes."""
    with open_folder() as folder:
        module = made / "module" / "my_dataset.py"
        subprocess.run(
            [
                *(sys.executable, "-c", LIMITED, "20000,100000", str(folder), "--import"),
                *(str(module), "--config-file", "tests/data/small.yaml", "DATASETS.TRAIN"),
                *("('outside',)", "DATASETS.TEST", "()", "INPUT.CROP.SIZE", "[64,64]"),
                *("INPUT.MIN_SIZE_TRAIN", "(64,)", "SOLVER.IMS_PER_BATCH", "2"),
                *("SOLVER.MAX_ITER", "3", "DATALOADER.NUM_WORKERS", "0"),
            ],
            cwd=ROOT,
            env=environment() | {"CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
        yield folder


@pytest.mark.parametrize("limit", [20_000, 100_000])
def test_a_training_for_which_there_is_no_room(limited, limit):
    """The log, the metrics and the checkpoint meet the limit, each in a run of its own."""
    code = json.loads((limited / f"{limit}.code").read_text())
    place = limited / str(limit)
    check(code, (limited / f"{limit}.err").read_text(), str(place), "File too large")
    assert not list(place.glob("*.pth")) and not list(place.glob(".partial-*"))


class FullWriter(EventWriter):
    """Fails as Detectron2's own do on a full disk."""

    def write(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    close = write


@pytest.mark.parametrize("first", ["the checkpoint", "the metrics"])
def test_the_last_flush_does_not_replace_the_first_error(made, place, monkeypatch, first):
    training.register_blocks(made)
    trainer = FGASegTrainer(training.training_config(place, "SOLVER.MAX_ITER", 3))
    writers = [writer for writer in trainer._hooks[-1]._writers if hasattr(writer, "_writer")]
    assert len(writers) == 2
    for writer in writers:
        monkeypatch.setattr(writer, "_writer", FullWriter())
    if first == "the checkpoint":
        trainer.checkpointer.save_dir = "/dev/null"
    with pytest.raises(WriteError) as caught:
        trainer.train()
    wanted = "/dev/null/model_" if first == "the checkpoint" else "metrics.json"
    assert wanted in str(caught.value) and "--resume" in str(caught.value)
    assert caught.value.__context__ is not None


def test_half_a_line_of_metrics_goes_when_a_run_continues(made, place):
    training.register_blocks(made)
    cfg = training.training_config(place)
    Path(cfg.OUTPUT_DIR).mkdir(parents=True)
    metrics = Path(cfg.OUTPUT_DIR) / "metrics.json"
    metrics.write_text('{"iteration": 0}\n{"iteration": 1, "loss')
    training.train(cfg)
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [0, 3]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "let this user write there"),
        (errno.EROFS, "make the disk writable"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "check the disk"),
    ],
)
def test_every_error_of_the_system_gets_a_remedy(tmp_path, code, remedy):
    path = tmp_path / "a.json"
    with pytest.raises(WriteError) as caught, atomic_path(path, "another --output", "go on"):
        raise OSError(code, os.strerror(code))
    assert str(caught.value) == (
        f"cannot write {path}: {os.strerror(code)}; " + str(caught.value).partition("; ")[2]
    )
    assert remedy in str(caught.value)
    assert str(caught.value).endswith(" or choose another --output, then go on")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.errno) == (str(caught.value), code)
    assert os.listdir(tmp_path) == []


def test_errors_about_other_files_pass(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.png"), atomic_path(tmp_path / "a.json"):
        (tmp_path / "none.png").read_bytes()
    with pytest.raises(RuntimeError, match="mine"), writing(tmp_path):
        raise RuntimeError("mine")


def test_a_long_path_is_shown_without_its_middle(tmp_path):
    path = tmp_path / ("a" * 200) / ("b" * 300)
    with pytest.raises(WriteError) as caught, atomic_path(path):
        pytest.fail("written")
    assert "File name too long" in str(caught.value) and len(str(caught.value)) < 300
