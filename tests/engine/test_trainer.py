"""Whole runs of the smallest real model on the CPU: resuming, checkpoints, evaluation, logs."""

import errno
import json
import os

import pytest
import torch

from fgaseg_d2.engine import FGASegTrainer, checkpointing, testing
from tests import datasets
from tests.engine import training
from tests.engine.training import losses, train, training_config


@pytest.fixture(autouse=True)
def blocks(tmp_path):
    training.register_blocks(tmp_path)


def resume_from(folder, checkpoint):
    (folder / "output" / "last_checkpoint").write_text(checkpoint, encoding="utf-8")


@pytest.mark.parametrize(
    "opts",
    [
        (),
        ("SEED", -1, "MODEL.FGASEG.LOSS.SAMPLED_CLASSES", 2, "SOLVER.ACCUMULATE_STEPS", 2),
        ("SOLVER.AMP.ENABLED", True, "DATALOADER.NUM_WORKERS", 1, "INPUT.COLOR_AUG_SSD", True),
    ],
)
def test_resumed_run_continues_the_loss_curve_to_the_digit(tmp_path, opts):
    cfg = training_config(tmp_path, *opts)
    whole = train(cfg)
    wanted = {
        name: losses(whole, name) for name in ("total_loss", "loss_sem_seg", "loss_t2p", "lr")
    }
    resume_from(tmp_path, "model_0000001.pth")
    resumed = train(cfg, resume=True)
    assert resumed.start_iter == 2
    for name, values in wanted.items():
        assert losses(resumed, name) == values[2:], name
    assert torch.equal(training.parameters(whole), training.parameters(resumed))
    assert len(set(wanted["total_loss"])) == 4


def test_weights_alone_start_at_the_first_iteration(tmp_path):
    first = train(training_config(tmp_path, "SOLVER.MAX_ITER", 2))
    weights = str(tmp_path / "output" / "model_final.pth")
    cfg = training_config(
        *(tmp_path / "second", "MODEL.WEIGHTS", weights, "SOLVER.MAX_ITER", 1),
        *("SOLVER.BASE_LR", 1e-12),
    )
    second = train(cfg)
    assert second.start_iter == 0
    assert torch.allclose(training.parameters(first), training.parameters(second), atol=1e-9)


def test_logs(tmp_path):
    train(training_config(tmp_path))
    lines = (tmp_path / "output" / "metrics.json").read_text(encoding="utf-8").splitlines()
    logged = json.loads(lines[-1])
    assert logged["iteration"] == 3
    wanted = {"loss_sem_seg", "loss_t2p", "total_loss", "throughput", "memory_mb", "lr"}
    assert wanted <= set(logged)
    assert list((tmp_path / "output").glob("events.out.tfevents.*"))


def test_clip_learns_at_its_own_rate(tmp_path):
    trainer = FGASegTrainer(training_config(tmp_path, "SOLVER.CLIP_MULTIPLIER", 0.5))
    rates = {group["lr"] for group in trainer.optimizer.param_groups}
    assert rates == {0.001, 0.0005}


def write_part(data, file, **_):
    file.write(b"half a checkpoint")
    raise KeyboardInterrupt


def fill_disk(data, file, **_):
    file.write(b"half a checkpoint")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("save", "error"), [(write_part, KeyboardInterrupt), (fill_disk, OSError)])
def test_interrupted_save_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch, save, error):
    folder = tmp_path / "output"
    checkpointer = checkpointing.TrainingCheckpointer(torch.nn.Linear(2, 2), str(folder))
    checkpointer.save("model", iteration=3)
    before = (folder / "model.pth").read_bytes()
    monkeypatch.setattr(checkpointing.torch, "save", save)
    for name in ("model", "later"):
        with pytest.raises(error) as caught:
            checkpointer.save(name, iteration=4)
    assert sorted(os.listdir(folder)) == ["last_checkpoint", "model.pth"]
    assert (folder / "model.pth").read_bytes() == before
    assert checkpointer.get_checkpoint_file() == str(folder / "model.pth")
    if error is OSError:
        assert str(caught.value) == (
            f"cannot write {folder / 'later.pth'}: No space left on device; free some space, then "
            "continue with --resume; earlier checkpoints are intact"
        )


def test_evaluation_counts_right(tmp_path):
    """A model that knows the answer scores 100, one that errs on one class does not."""

    class Oracle(torch.nn.Module):
        flip = False

        def forward(self, batch):
            scores = []
            for sample in batch:
                colors = torch.from_numpy(datasets.COLORS).float()
                image = sample["image"].permute(1, 2, 0).float()
                nearest = -(image[None] - colors[:, None, None]).abs().sum(-1)
                scores.append({"sem_seg": nearest.flip(0) if self.flip else nearest})
            return scores

    cfg = training_config(tmp_path, "DATASETS.TEST", ("blocks",), "INPUT.MIN_SIZE_TEST", 48)
    results = FGASegTrainer.test(cfg, Oracle())
    assert results["sem_seg"]["mIoU"] == pytest.approx(100)
    Oracle.flip = True
    assert FGASegTrainer.test(cfg, Oracle())["sem_seg"]["mIoU"] == pytest.approx(0)


def test_evaluation_after_training_equals_evaluation_of_the_checkpoint(tmp_path):
    trainer = train(training_config(tmp_path, "DATASETS.TEST", ("blocks",)))
    trained = trainer.storage.latest()["sem_seg/mIoU"][0]
    weights = str(tmp_path / "output" / "model_final.pth")
    cfg = training_config(tmp_path, "DATASETS.TEST", ("blocks",), "MODEL.WEIGHTS", weights)
    results = testing.evaluate(cfg, FGASegTrainer)
    assert results["blocks"]["mIoU"] == pytest.approx(trained, abs=1e-9)
    written = json.loads((tmp_path / "output" / "results.json").read_text(encoding="utf-8"))
    assert written["blocks"]["mIoU"] == pytest.approx(trained, abs=1e-9)


def test_bad_label_is_refused_in_evaluation(tmp_path):
    record = datasets.write_pair(
        *(tmp_path, "bad", datasets.COLORS[[[0, 1], [2, 3]]].repeat(32, 0).repeat(32, 1)),
        torch.full((64, 64), 9, dtype=torch.uint8).numpy(),
    )
    cfg = training_config(tmp_path, "DATASETS.TEST", ("bad",))
    with (
        datasets.registered("bad", [record], ignore_label=255),
        pytest.raises(ValueError, match=r"bad.label.png: expected label values 0 .. 3 .* got 9"),
    ):
        FGASegTrainer.test(cfg, FGASegTrainer.build_model(cfg))


def test_more_than_255_classes_train(tmp_path):
    classes = [f"thing {index}" for index in range(256)]
    records = datasets.write_blocks(tmp_path / "wide", count=2)
    cfg = training_config(tmp_path, "DATASETS.TRAIN", ("wide",), "SOLVER.MAX_ITER", 1)
    cfg.MODEL.FGASEG.LOSS.SAMPLED_CLASSES = 8
    with datasets.registered("wide", records, stuff_classes=classes):
        trainer = train(cfg)
        label = trainer.data_loader.groups[0][0]["sem_seg"]
    assert (label == 255).any()
    assert trainer.cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE == 65535


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (("SOLVER.AMP.DTYPE", "float8"), "to be 'float16' or 'bfloat16', got 'float8'"),
        (("MODEL.WEIGHTS", "/no/such.pth"), "/no/such.pth"),
    ],
)
def test_bad_values(tmp_path, opts, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(training_config(tmp_path, *opts))
