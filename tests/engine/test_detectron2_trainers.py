"""Detectron2's own trainers on this package's configurations, with the keys that README names."""

import re

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader, build_detection_train_loader
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import SemSegEvaluator, inference_on_dataset
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils.events import EventStorage

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from tests.conftest import ROOT
from tests.engine import training


class Trainer(DefaultTrainer):
    """As in Detectron2's tools/train_net.py, for this one kind of evaluator."""

    @classmethod
    def build_evaluator(cls, cfg, dataset_name, output_folder=None):
        return SemSegEvaluator(dataset_name, output_dir=output_folder)


def keys_of_the_readme() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`(SOLVER\.CLIP_GRADIENTS\.CLIP_TYPE [^`]+)`", text)
    return line.split()


@pytest.fixture
def cfg(tmp_path) -> CfgNode:
    training.register_blocks(tmp_path)
    cfg = training.training_config(
        *(tmp_path, "DATASETS.TEST", ("blocks",), "INPUT.MIN_SIZE_TEST", 48),
        *("SOLVER.MAX_ITER", 2, "SOLVER.AMP.ENABLED", True),
    )
    assert cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE == "full_model"
    return cfg


def test_default_trainer_trains_evaluates_and_resumes(cfg, tmp_path):
    cfg.merge_from_list(keys_of_the_readme())
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    assert 0 < trainer.storage.latest()["sem_seg/mIoU"][0] < 100
    # What it has saved is a checkpoint of this package.
    model = build_model(cfg)
    FGASegCheckpointer(model).load(str(tmp_path / "output" / "model_final.pth"))
    for name, values in trainer.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], values), name
    cfg.SOLVER.MAX_ITER = 3
    again = Trainer(cfg)
    again.resume_or_load(resume=True)
    assert again.start_iter == 2
    again.train()


@pytest.mark.parametrize("key", ["SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "SOLVER.AMP.ENABLED"])
def test_default_trainer_needs_each_of_the_keys(cfg, key):
    keys = keys_of_the_readme()
    position = keys.index(key)
    del keys[position : position + 2]
    cfg.merge_from_list(keys)
    with pytest.raises((ValueError, AssertionError)):
        Trainer(cfg).train()


def test_plain_training_loop(cfg):
    """What Detectron2's tools/plain_train_net.py does."""
    cfg.merge_from_list(keys_of_the_readme())
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    checkpointer = DetectionCheckpointer(
        model, cfg.OUTPUT_DIR, optimizer=optimizer, scheduler=scheduler
    )
    assert checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=False) == {}
    before = training.flat_parameters(model)
    with EventStorage():
        for data, _ in zip(build_detection_train_loader(cfg), range(cfg.SOLVER.MAX_ITER)):
            losses = sum(model(data).values())
            assert torch.isfinite(losses)
            optimizer.zero_grad()
            losses.backward()
            optimizer.step()
            scheduler.step()
    assert not torch.equal(before, training.flat_parameters(model))
    loader = build_detection_test_loader(cfg, "blocks")
    results = inference_on_dataset(model, loader, SemSegEvaluator("blocks"))
    assert 0 <= results["sem_seg"]["mIoU"] <= 100
