"""FGASegTrainer: Detectron2's DefaultTrainer on CPU and GPUs, resuming exactly."""

import logging
import weakref
from collections import OrderedDict

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, create_ddp_model
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from detectron2.utils.logger import setup_logger
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ..config.checks import check_config, check_values
from ..config.effects import warn_of_unread
from ..config.loading import expand_paths
from ..data.dataset_words import with_test_set
from ..data.loaders import (
    TrainLoader,
    build_test_loader,
    build_train_loader,
    with_legal_ignore_value,
)
from ..data.records import listed_once
from ..data.seeding import seeded
from ..modeling.precision import amp_dtype
from ..wording import shown
from .checkpointing import TrainingCheckpointer
from .optimizer import build_optimizer
from .resuming import check_groups, group_settings, kept_settings, warn_of_kept
from .schedules import build_poly_schedule
from .testing import build_evaluator, model_for_test
from .train_loop import TrainLoop
from .writers import build_writers

_SCHEDULES = (
    *("WarmupCosineLR", "WarmupMultiStepLR", "WarmupStepWithFixedGammaLR"),
    "WarmupPolyLR",
)

logger = logging.getLogger(__name__)


class FGASegTrainer(DefaultTrainer):
    """Trains and tests every model of this package on datasets registered with Detectron2.

    Differs from DefaultTrainer in what that assumes: CUDA, one batch a step, a data stream that
    starts afresh on resuming, and files that are written in place.
    """

    def __init__(self, cfg: CfgNode):
        """Build model, optimiser, data and hooks; call ``resume_or_load`` and ``train`` next.

        Args:
            cfg: complete configuration. With SEED below 0 a seed is drawn and kept in checkpoints.

        Raises:
            ValueError: a key or a dataset cannot be used.
            FileNotFoundError: as the datasets' own loading functions say.
        """
        # Not DefaultTrainer's, whose first step this is: where there are several processes it gives
        # DistributedDataParallel the number of a GPU, which that refuses for a model on the CPU,
        # and neither an argument nor a method of it can say otherwise.
        super(DefaultTrainer, self).__init__()
        if not logging.getLogger("detectron2").isEnabledFor(logging.INFO):
            setup_logger()
            setup_logger(name="fgaseg_d2")
        check_config(cfg)
        cfg = _scaled(expand_paths(cfg))
        if type(self) is FGASegTrainer:  # a trainer of one's own may read any key
            warn_of_unread(cfg, logger)
        cfg = with_legal_ignore_value(cfg)
        dtype = amp_dtype(cfg.SOLVER.AMP.DTYPE, "SOLVER.AMP.DTYPE")
        # Data first: what is wrong with it shows before a large model is built.
        loader = self.build_train_loader(cfg)
        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        self._trainer = TrainLoop(
            _distributed(model),
            loader,
            optimizer,
            accumulate_steps=cfg.SOLVER.ACCUMULATE_STEPS,
            amp_dtype=dtype if cfg.SOLVER.AMP.ENABLED else None,
            seed=loader.seed,
        )
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.checkpointer = TrainingCheckpointer(
            model,
            cfg.OUTPUT_DIR,
            allow_partial=cfg.MODEL.WEIGHTS_PARTIAL,
            trainer=weakref.proxy(self),
        )
        self._settings = kept_settings(cfg)
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

    def resume_or_load(self, resume: bool = True) -> None:
        """Load the last checkpoint of OUTPUT_DIR, or else MODEL.WEIGHTS.

        Args:
            resume: whether to look for a checkpoint. With one, optimiser, schedule, gradient scaler
                and data stream continue where it was saved.
        """
        super().resume_or_load(resume)
        self.data_loader.start_iter = self.start_iter

    def build_writers(self) -> list[EventWriter]:
        """Build the writers of the logs; see :mod:`fgaseg_d2.engine.writers`."""
        return build_writers(self.cfg.OUTPUT_DIR, self.max_iter)

    def after_train(self) -> None:
        """Let the hooks finish; after a failure their own must not take its place."""
        try:
            super().after_train()
        except OSError as error:
            if self.iter >= self.max_iter:
                raise
            logger.warning("%s", error)

    def state_dict(self) -> dict:
        """State of trainer and hooks, with the seed of the data stream and what it was set to."""
        seed = self.data_loader.seed
        return {**super().state_dict(), "seed": seed, "settings": self._settings}

    def load_state_dict(self, state_dict: dict) -> None:
        """Continue from another trainer's state, on its data stream.

        A warning says which keys of the configuration have another value now and no effect.

        Raises:
            ValueError: the state is of an optimiser of another kind or over other parameters.
        """
        settings = state_dict.get("settings")
        groups = group_settings(self.optimizer)
        kept = state_dict["_trainer"]["optimizer"]["param_groups"]
        check_groups(self.cfg, settings, groups, kept)
        super().load_state_dict(state_dict)
        warn_of_kept(self.cfg, settings, groups, kept, logger)
        # The next checkpoints say what is in effect.
        self._settings = settings or self._settings
        seed = state_dict.get("seed", self.data_loader.seed)
        if 0 <= self.cfg.SEED != seed:
            logger.warning(
                "SEED %d has no effect on a run that is resumed: it goes on with %d of its "
                "checkpoint",
                *(self.cfg.SEED, seed),
            )
        self.data_loader.seed = self._trainer.seed = seed

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Build the model with the same initial weights on every rank.

        Args:
            cfg: complete configuration; SEED decides the weights that are drawn at random.
        """
        with seeded(shared_seed(cfg)):
            return super().build_model(cfg)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """Build the optimiser; see :func:`fgaseg_d2.engine.optimizer.build_optimizer`."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(
        cls, cfg: CfgNode, optimizer: torch.optim.Optimizer
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Build the schedule: one of Detectron2's, or "WarmupPolyLR".

        Raises:
            ValueError: an unknown SOLVER.LR_SCHEDULER_NAME.
        """
        name = cfg.SOLVER.LR_SCHEDULER_NAME
        if name not in _SCHEDULES:
            raise ValueError(
                f"expected SOLVER.LR_SCHEDULER_NAME to be one of {', '.join(_SCHEDULES)}, got "
                f"{shown(name)}; choose one"
            )
        if name == "WarmupPolyLR":
            return build_poly_schedule(cfg, optimizer)
        return super().build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> TrainLoader:
        """Build the training stream; see :func:`fgaseg_d2.data.loaders.build_train_loader`."""
        return build_train_loader(cfg, shared_seed(cfg))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> DataLoader:
        """Build a test loader; see :func:`fgaseg_d2.data.loaders.build_test_loader`."""
        return build_test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """Build an evaluator; see :func:`fgaseg_d2.engine.testing.build_evaluator`."""
        return build_evaluator(cfg, dataset_name)

    @classmethod
    @listed_once()
    def test(
        cls,
        cfg: CfgNode,
        model: nn.Module,
        evaluators: list[DatasetEvaluator] | None = None,
    ) -> OrderedDict:
        """Evaluate a model on DATASETS.TEST, with TEST.AUG where that is enabled.

        Args:
            cfg: complete configuration.
            model: with its weights loaded, plain or wrapped for distributed training.
            evaluators: one a dataset, or a list of them; None builds them. See
                :func:`fgaseg_d2.engine.testing.model_for_test` for what they get.

        Returns:
            Results by task, or by dataset and task if there are several datasets.

        Raises:
            ValueError: not one evaluator for each dataset.
        """
        # Ranks may get shares of different length, and the wrapper would wait for the others.
        plain = model.module if isinstance(model, DistributedDataParallel) else model
        if isinstance(evaluators, DatasetEvaluator):
            evaluators = [evaluators]
        names = cfg.DATASETS.TEST
        if evaluators is not None and len(evaluators) != len(names):
            raise ValueError(
                f"expected one evaluator for each of the {len(names)} datasets of DATASETS.TEST, "
                f"got {len(evaluators)}"
            )
        results = OrderedDict()
        for position, name in enumerate(names):
            part = with_test_set(cfg, name)
            evaluator = cls._evaluator(cfg, name) if evaluators is None else evaluators[position]
            prepared = model_for_test(cfg, plain, evaluator)
            given = None if evaluator is None else [evaluator]
            results[name] = super().test(part, prepared, given)
        return next(iter(results.values())) if len(results) == 1 else results

    @classmethod
    def _evaluator(cls, cfg: CfgNode, name: str) -> DatasetEvaluator | None:
        """None where a subclass has none, which Detectron2 says and goes on."""
        try:
            return cls.build_evaluator(cfg, name)
        except NotImplementedError:
            return None


def _scaled(cfg: CfgNode) -> CfgNode:
    """Scale the batch and what depends on it to the number of processes, where SOLVER says so."""
    scaled = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())
    if scaled is not cfg:
        try:
            check_values(scaled)
        except ValueError as error:
            raise ValueError(
                f"SOLVER.REFERENCE_WORLD_SIZE {cfg.SOLVER.REFERENCE_WORLD_SIZE} scales the "
                f"configuration to {comm.get_world_size()} processes: {error}"
            ) from error
    return scaled


def shared_seed(cfg: CfgNode) -> int:
    """Return SEED, or one number drawn for all ranks together if SEED is below 0."""
    return cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed()


def _distributed(model: nn.Module) -> nn.Module:
    """Wrap a model where there are several processes."""
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else None
    return create_ddp_model(model, broadcast_buffers=False, device_ids=devices)
