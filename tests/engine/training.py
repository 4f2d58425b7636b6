"""Short training runs of the smallest real model, also as processes of their own."""

from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm

from fgaseg_d2.data.datasets.catalog import replace_dataset
from fgaseg_d2.engine import FGASegTrainer
from tests import datasets
from tests.conftest import config


def training_config(folder: Path, *opts: object) -> CfgNode:
    """Four iterations on the blocks in a folder."""
    return config(
        "tests/data/small.yaml",
        *("OUTPUT_DIR", str(folder / "output"), "DATASETS.TRAIN", ("blocks",)),
        *("DATASETS.TEST", (), "INPUT.MIN_SIZE_TRAIN", (48, 64), "INPUT.CROP.SIZE", [64, 64]),
        *("SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 4, "SOLVER.CHECKPOINT_PERIOD", 2),
        *("SOLVER.WARMUP_ITERS", 0, "SOLVER.BASE_LR", 0.001, "DATALOADER.NUM_WORKERS", 0),
        *("SEED", 7, *opts),
    )


def register_blocks(folder: Path) -> None:
    """Register the pictures in a folder as "blocks" in this process, anew."""
    records = datasets.write_blocks(folder / "pictures")
    classes = list(datasets.CLASSES)
    replace_dataset("blocks", lambda: records, stuff_classes=classes, ignore_label=255)


def train(cfg: CfgNode, resume: bool = False) -> FGASegTrainer:
    """Train to the end."""
    trainer = FGASegTrainer(cfg)
    trainer.resume_or_load(resume)
    trainer.train()
    return trainer


def losses(trainer: FGASegTrainer, name: str = "total_loss") -> list[float]:
    """One number an iteration, as computed."""
    return [value for value, _ in trainer.storage.history(name).values()]


def parameters(trainer: FGASegTrainer) -> torch.Tensor:
    """All parameters in one vector."""
    return flat_parameters(trainer.checkpointer.model)


def flat_parameters(model: torch.nn.Module) -> torch.Tensor:
    """All parameters in one vector, a copy."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def train_one_of_several(folder: Path, opts: tuple) -> None:
    """What each process of a distributed run does; leaves its parameters and losses on disk."""
    register_blocks(folder)
    before = FGASegTrainer.build_model(training_config(folder, *opts))
    first = flat_parameters(before)
    trainer = train(training_config(folder, *opts))
    rank = comm.get_rank()
    shown = losses(trainer) if rank == 0 else []
    torch.save((first, parameters(trainer), shown), folder / f"rank{rank}.pth")
