"""Evaluates weights and leaves the figures where scripts find them."""

import logging
import math
import os
from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import verify_results
from detectron2.utils import comm

from fgaseg_d2.checkpoint import FGASegCheckpointer
from fgaseg_d2.files import write_json

logger = logging.getLogger(__name__)


def evaluate(cfg: CfgNode, trainer: type[DefaultTrainer], resume: bool = False) -> dict[str, Any]:
    """Evaluate a model on DATASETS.TEST and write OUTPUT_DIR/results.json.

    Args:
        cfg: complete configuration.
        trainer: says how model, loaders and evaluators are built.
        resume: take the last checkpoint of OUTPUT_DIR, if there is one, instead of MODEL.WEIGHTS.

    Returns:
        Results by dataset, task and metric, in percent; empty on all ranks but the first.

    Raises:
        FileNotFoundError: no such weights, or a file of a dataset is missing.
        ValueError: weights or a dataset that cannot be used.
    """
    model = trainer.build_model(cfg)
    checkpointer = FGASegCheckpointer(
        model, cfg.OUTPUT_DIR, allow_partial=cfg.MODEL.WEIGHTS_PARTIAL
    )
    if not cfg.MODEL.WEIGHTS and not (resume and checkpointer.has_checkpoint()):
        logger.warning("MODEL.WEIGHTS is empty: evaluating a model that was not trained")
    checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=resume)
    results = trainer.test(cfg, model)
    if not comm.is_main_process():
        return {}
    verify_results(cfg, results)
    if len(cfg.DATASETS.TEST) == 1:
        results = {cfg.DATASETS.TEST[0]: results}
    path = os.path.join(cfg.OUTPUT_DIR, "results.json")
    write_json(path, _without_nan(results))
    logger.info("Results written to %s", path)
    return dict(results)


def _without_nan(value: Any) -> Any:
    """Replace what JSON cannot say (no number: a class that does not occur) by null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    number = float(value)
    return number if math.isfinite(number) else None
