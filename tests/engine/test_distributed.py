"""Two processes on the CPU train what one process trains, and agree with each other."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import torch.utils.data
from detectron2.utils import comm
from torch.multiprocessing import ProcessRaisedException

import train_net
from fgaseg_d2.engine import errors
from fgaseg_d2.engine.launch import _one_of_several, launch
from fgaseg_d2.io.file_errors import ReadError, WritePermissionError
from fgaseg_d2.modeling.towers.loading import PretrainedWeightsError
from tests import datasets
from tests.conftest import ROOT
from tests.engine import training
from tests.engine.test_testing import evaluate_one_of_several
from tests.processes import PATIENCE, alive, children_of, command_of, wait_until

# Without the T2P branch, whose batch statistics are those of a process's own share.
OPTS = ("MODEL.FGASEG.LOSS.T2P_WEIGHT", 0.0, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 3)
OPTS += ("SOLVER.ACCUMULATE_STEPS", 2)


class TwoArgumentsError(ValueError):
    """An error that neither pickle nor torch can make again, of a type that nobody lists."""

    def __init__(self, what, remedy):
        super().__init__(f"expected {what}; {remedy}")


def train_evaluate_and_fail_in_the_second(folder):
    """Train and evaluate in two processes; then one raises an error, and the other waits for it."""
    training.train_one_of_several(folder, OPTS)
    evaluate_one_of_several(folder / "two", datasets.write_blocks(folder / "five", 5))
    if comm.get_rank() == 1:
        raise TwoArgumentsError("more", "give more")
    comm.synchronize()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Where two processes have left what they made, and how their run ended."""
    if torch.cuda.is_available():
        pytest.skip("processes would share the GPUs over NCCL")
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as changed, pytest.raises(ProcessRaisedException) as caught:
        changed.setenv("OMP_NUM_THREADS", "1")
        launch(train_evaluate_and_fail_in_the_second, 2, args=(folder,))
    return folder, caught.value


def test_two_processes_equal_one(two_processes, tmp_path):
    folder, _ = two_processes
    ranks = [torch.load(folder / f"rank{rank}.pth") for rank in (0, 1)]
    training.register_blocks(tmp_path)
    alone = training.train(training.training_config(tmp_path, *OPTS))
    assert torch.equal(ranks[0][0], ranks[1][0]), "initial weights"
    assert torch.equal(ranks[0][1], ranks[1][1]), "trained weights"
    assert ranks[0][2] == pytest.approx(training.losses(alone), abs=1e-4)
    # One step of AdamW moves a weight by the learning rate whatever its gradient's size, so that
    # rounding shows where a gradient is next to nothing; nearly all must agree.
    change = (training.parameters(alone) - ranks[0][1]).abs()
    assert (change > 1e-5).float().mean() < 0.01


def test_two_processes_evaluate_every_picture_once(two_processes, tmp_path):
    """Five pictures are shared unequally; the figures are those of one process, exactly."""
    folder, _ = two_processes
    evaluate_one_of_several(tmp_path, datasets.write_blocks(folder / "five", 5))
    one, two = (
        json.loads((place / "output" / "results.json").read_text())
        for place in (tmp_path, folder / "two")
    )
    assert one == two and one["blocks_a"]["pictures"] == 5
    kept = folder / "two" / "output" / "inference" / "blocks_a" / "predictions"
    assert len(list(kept.glob("*.png"))) == 5
    assert len(json.loads((kept / "predictions.json").read_text())["files"]) == 5


def test_what_one_process_says_reaches_the_first(two_processes):
    _, error = two_processes
    assert errors.one_line(error) == "expected more; give more"


def test_torchrun(tmp_path):
    module = datasets.write_module(tmp_path)
    opts = [
        *("OUTPUT_DIR", str(tmp_path / "output"), "DATASETS.TRAIN", "('blocks',)"),
        *("DATASETS.TEST", "('blocks',)", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "1"),
        *("INPUT.CROP.SIZE", "[64, 64]", "INPUT.MIN_SIZE_TRAIN", "(64,)", "SEED", "1"),
        *("DATALOADER.NUM_WORKERS", "0"),
    ]
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nproc-per-node",
                "2",
                "--standalone",
            ),
            *("train_net.py", "--config-file", "tests/data/small.yaml", "--import", str(module)),
            *opts,
        ],
        cwd=ROOT,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "World size: 2" in (tmp_path / "output" / "log.txt").read_text(encoding="utf-8")
    assert (tmp_path / "output" / "model_final.pth").is_file()


def kill_when_there_is_a_checkpoint(output, number, ranks):
    """End one of the processes that this one has started; notes them all."""
    wait_until(lambda: list(output.glob("model_0*.pth")))
    ranks += [pid for pid in children_of(os.getpid()) if b"spawn_main" in command_of(pid)]
    os.kill(ranks[number], signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
@pytest.mark.skipif(torch.cuda.is_available(), reason="processes would share the GPUs over NCCL")
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_run_in_one_line(tmp_path, monkeypatch, capfd, killed):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(ROOT)
    module, output = datasets.write_module(tmp_path), tmp_path / "output"
    ranks = []
    killer = threading.Thread(
        target=kill_when_there_is_a_checkpoint, args=(output, killed, ranks), daemon=True
    )
    killer.start()
    code = train_net.main(
        [
            *("--config-file", "tests/data/small.yaml", "--import", str(module), "--num-gpus", "2"),
            *("OUTPUT_DIR", str(output), "DATASETS.TRAIN", "('blocks',)", "DATASETS.TEST", "()"),
            *("SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "1000000", "SEED", "1"),
            *("INPUT.CROP.SIZE", "[64, 64]", "INPUT.MIN_SIZE_TRAIN", "(64,)"),
            *("DATALOADER.NUM_WORKERS", "1", "SOLVER.CHECKPOINT_PERIOD", "1"),
        ]
    )
    shown = "".join(capfd.readouterr())
    assert code == 1 and "Traceback" not in shown
    assert shown.splitlines()[-1] == (
        f"error: process {killed} terminated with signal SIGKILL, perhaps for want of memory; "
        "--resume continues from the last checkpoint"
    )
    assert sum(line.startswith("error: ") for line in shown.splitlines()) == 1
    assert len(ranks) == 2 and not any(alive(pid) for pid in ranks)


LOST = (
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:99"
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError(LOST), "another process of this run has ended"),
        (torch.distributed.DistBackendError("NCCL error"), "another process of this run has ended"),
        (OSError(28, "No space left on device", "a.pth"), "a.pth: No space left on device; free"),
    ],
)
def test_one_of_several_processes_explains_its_end(monkeypatch, error, message):
    monkeypatch.setattr("fgaseg_d2.engine.launch.comm.get_world_size", lambda: 2)
    monkeypatch.setattr("fgaseg_d2.engine.launch._PATIENCE", 0)

    def fail():
        raise error

    with pytest.raises(OSError) as caught:
        _one_of_several(fail, ())
    assert errors.one_line(caught.value).startswith(message)


class Failing(torch.utils.data.Dataset):
    """Data that cannot be read."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("expected more\n\nin it"), "expected more"),
        (ReadError("cannot read a.png: Input/output error", "check the disk", 5), "cannot read a."),
        (WritePermissionError("cannot write b", "let this user write there", 13), "cannot write b"),
        (PretrainedWeightsError("expected CLIP weights"), "expected CLIP weights"),
        (MemoryError(), "expected enough memory, got an error (MemoryError)"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't"),
            "expected enough memory, got an",
        ),
        (KeyError("ValueError: no"), None),
        (RuntimeError("of ours\nValueError: not a user's"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_errors_of_processes_that_load_data_are_judged_by_their_type(error, message):
    loader = torch.utils.data.DataLoader(Failing(error), num_workers=1)
    with pytest.raises(Exception, match="in DataLoader worker") as caught:
        next(iter(loader))
    said = errors.one_line(caught.value)
    assert said is None if message is None else said.startswith(message)
    assert "Traceback" not in (said or "")


def test_a_programmers_error_stays_one(monkeypatch):
    monkeypatch.setattr("fgaseg_d2.engine.launch.comm.get_world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="mine"):
        _one_of_several(exec, ("raise RuntimeError('mine')",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"processes": 0}, "expected --num-gpus"),
        ({"processes": 10**9}, "expected --num-gpus 1 .. "),
        ({"processes": 1, "machines": 0}, "expected --num-machines 1 or more, got 0"),
        ({"processes": 1, "machines": 2, "machine_rank": 2}, "expected --machine-rank 0 .. 1"),
        ({"processes": 1, "machines": 2}, "expected --dist-url with --num-machines above 1"),
    ],
)
def test_numbers_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        launch(print, **arguments)
