"""Two processes on the CPU train what one process trains, and agree with each other."""

import os
import subprocess
import sys

import pytest
import torch

from fgaseg_d2.engine.launch import launch
from tests import datasets
from tests.conftest import ROOT
from tests.engine import training

# Without the T2P branch, whose batch statistics are those of a process's own share.
OPTS = ("MODEL.FGASEG.LOSS.T2P_WEIGHT", 0.0, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 3)
OPTS += ("SOLVER.ACCUMULATE_STEPS", 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="processes would share the GPUs over NCCL")
def test_two_processes_equal_one(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    launch(training.train_one_of_several, 2, args=(tmp_path, OPTS))
    ranks = [torch.load(tmp_path / f"rank{rank}.pth") for rank in (0, 1)]
    training.register_blocks(tmp_path)
    alone = training.train(training.training_config(tmp_path / "alone", *OPTS))
    assert torch.equal(ranks[0][0], ranks[1][0]), "initial weights"
    assert torch.equal(ranks[0][1], ranks[1][1]), "trained weights"
    assert ranks[0][2] == pytest.approx(training.losses(alone), abs=1e-4)
    # One step of AdamW moves a weight by the learning rate whatever its gradient's size, so that
    # rounding shows where a gradient is next to nothing; nearly all must agree.
    change = (training.parameters(alone) - ranks[0][1]).abs()
    assert (change > 1e-5).float().mean() < 0.01


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
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "World size: 2" in (tmp_path / "output" / "log.txt").read_text(encoding="utf-8")
    assert (tmp_path / "output" / "model_final.pth").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"processes": 0}, "expected --num-gpus"),
        ({"processes": 1, "machines": 2, "machine_rank": 2}, "expected --machine-rank 0 .. 1"),
        ({"processes": 1, "machines": 2}, "expected --dist-url with --num-machines above 1"),
    ],
)
def test_numbers_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        launch(print, **arguments)
