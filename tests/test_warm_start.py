"""train_net.py from a CAT-Seg checkpoint begins where CAT-Seg is, and trains on from there."""

import json

import pytest
import torch

from fgaseg_d2.checkpoint.files import read_checkpoint
from fgaseg_d2.methods.fgaseg.parameter_names import to_reference
from tests import datasets
from tests.conftest import build_small
from tests.test_catseg import CATSEG
from tests.test_train_net import call

FAST = ("MODEL.FGASEG.FAST.ENABLED", True)
DEEP = ("MODEL.FGASEG.P2T.LAYERS", 3, "MODEL.FGASEG.LCS.KERNEL_SIZE", 5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """CAT-Seg under its own names."""
    path = tmp_path_factory.mktemp("catseg") / "model_base.pth"
    torch.save({"model": to_reference(build_small(*CATSEG, seed=3).state_dict())}, path)
    return path


@pytest.fixture
def train_net(monkeypatch, capsys, tmp_path, checkpoint):
    """Runs train_net.py from the checkpoint; gives the folder of its results and what it said."""
    with datasets.registered("here", datasets.write_blocks(tmp_path / "blocks")):

        def run(name, *arguments):
            code, err = call(
                *(monkeypatch, capsys, "--config-file", "tests/data/small.yaml"),
                *("MODEL.WEIGHTS", checkpoint, "OUTPUT_DIR", tmp_path / name, "SEED", 5),
                *("DATASETS.TRAIN", "('here',)", "DATASETS.TEST", "('here',)"),
                *("INPUT.CROP.SIZE", "[64, 64]", "INPUT.MIN_SIZE_TRAIN", "(64,)"),
                *("SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 1, "DATALOADER.NUM_WORKERS", 0),
                *arguments,
            )
            assert code == 0, err
            return tmp_path / name

        yield run


def losses(folder):
    """Of the first iteration."""
    first, *_ = (folder / "metrics.json").read_text(encoding="utf-8").splitlines()
    return {name: value for name, value in json.loads(first).items() if "loss_" in name}


def test_evaluation_gives_cat_segs_numbers(train_net):
    results = [
        json.loads((train_net(name, "--eval-only", *opts) / "results.json").read_text())
        for name, opts in (("catseg", CATSEG), ("fgaseg", ()), ("deep", DEEP))
    ]
    assert results[0]["here"]["mIoU"] > 0
    assert results[1] == results[2] == results[0]


def test_the_first_step_has_cat_segs_loss_and_opens_the_new_paths(train_net):
    expected = losses(train_net("catseg", *CATSEG))
    assert list(expected) == ["loss_sem_seg"]
    for name, opts, others in (
        ("fgaseg", DEEP, {"loss_t2p"}),
        ("fast", FAST, {"loss_t2p", "loss_aux0", "loss_aux1", "loss_aux2"}),
    ):
        folder = train_net(name, *opts)
        found = losses(folder)
        assert found.keys() == expected.keys() | others
        assert found["loss_sem_seg"] == pytest.approx(expected["loss_sem_seg"], rel=1e-5)
        # What lets nothing through in the beginning has opened.
        trained = read_checkpoint(str(folder / "model_final.pth"))["model"]
        assert trained["sem_seg_head.p2tformer.gamma"].any()
        local = trained["sem_seg_head.fusion.project.weight"].chunk(2, dim=1)[1]
        assert local.any()
