"""Evaluates weights and leaves the figures where scripts and people find them."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import verify_results
from detectron2.utils import comm
from torch import Tensor, nn

from ..checkpoint.checkpointer import FGASegCheckpointer
from ..config.checks import check_values
from ..config.effects import warn_of_unread
from ..config.loading import expand_paths
from ..config.renamed_keys import setting
from ..data.dataset_words import evaluation_vocabulary, with_test_set
from ..data.labels import LabelSpec
from ..data.records import listed_once
from ..evaluation.evaluator import SegmentationEvaluator
from ..evaluation.outcome import Evaluation, class_keys
from ..evaluation.predictions import PredictionWriter
from ..evaluation.report import inference_folder, write_report
from ..evaluation.tally import Extras
from ..evaluation.truth import GroundTruth
from ..io.regular_files import is_file, kind_of_file
from ..modeling.inference.augmentation import AveragedViews
from ..wording import few
from .cost import Stopwatch, model_cost
from .run_description import describe_run

logger = logging.getLogger(__name__)


@listed_once()
def evaluate(
    cfg: CfgNode, trainer: type[DefaultTrainer], resume: bool = False, config_file: str = ""
) -> dict[str, Any]:
    """Evaluate a model on each of DATASETS.TEST and write the results into OUTPUT_DIR.

    The files are written anew after each test set, so that an interruption loses none that is
    finished. See :mod:`fgaseg_d2.evaluation.report` for what they are.

    Args:
        cfg: complete configuration.
        trainer: says how model, loaders and evaluators are built.
        resume: take the last checkpoint of OUTPUT_DIR, if there is one, instead of MODEL.WEIGHTS.
        config_file: where the configuration came from, for the files.

    Returns:
        Figures by dataset and metric, in percent; empty on all ranks but the first.

    Raises:
        FileNotFoundError: no such weights, or a file of a dataset is missing.
        ValueError: weights or a dataset that cannot be used.
    """
    check_values(cfg)
    cfg = expand_paths(cfg)
    warn_of_unread(cfg, logger)
    check_test_sets(cfg)
    checkpointer = FGASegCheckpointer.of_new_model(
        lambda: trainer.build_model(cfg),
        *(cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR),
        allow_partial=cfg.MODEL.WEIGHTS_PARTIAL,
    )
    model = checkpointer.model
    trained = cfg.MODEL.WEIGHTS or (resume and checkpointer.has_checkpoint())
    if not trained and (getattr(model, "needs_weights", True) or not cfg.MODEL.CLIP.PRETRAINED):
        logger.warning("MODEL.WEIGHTS is empty: evaluating a model that was not trained")
    checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=resume)
    run = describe_run(cfg, config_file, getattr(model, "image_size", None))
    by_task, figures, page = {}, {}, ""
    for name in cfg.DATASETS.TEST:
        part = with_test_set(cfg, name)
        evaluator = trainer.build_evaluator(part, name)
        own = _own_evaluator(evaluator)
        if own is not None and own.writer is not None:
            own.writer.run.update(run)
        with Stopwatch(model) as watch:
            results = trainer.test(part, model, [evaluator])
        if comm.is_main_process():
            evaluation = replace(outcome(name, results, own, run), cost=model_cost(model, watch))
            page = write_report(cfg.OUTPUT_DIR, evaluation)
            by_task[name], figures[name] = results, dict(evaluation.results)
    if not comm.is_main_process():
        return {}
    logger.info("Results are in %s:\n%s", os.path.join(cfg.OUTPUT_DIR, "results.md"), page)
    # As DefaultTrainer.test returns them: without the dataset's name if there is only one.
    verify_results(cfg, by_task if len(by_task) > 1 else next(iter(by_task.values())))
    return figures


def check_test_sets(cfg: CfgNode) -> None:
    """Find what is missing of any test set before hours are spent on another.

    Args:
        cfg: DATASETS.TEST and TEST are used.

    Raises:
        FileNotFoundError: a test set, or a file of it, is not there.
        ValueError: a test set that cannot be used, or a value of TEST that does not fit.
    """
    view_scales(cfg)
    for name in cfg.DATASETS.TEST:
        evaluation_vocabulary(cfg, LabelSpec.from_metadata(name))
        truth = _truth(cfg, name)
        inference_folder(cfg.OUTPUT_DIR, name)
        files = [file for pair in truth.files.items() for file in pair]
        # Other schemes are addresses, which are fetched when they are read.
        local = [file for file in files if "://" not in file]
        missing = [file for file in local if not is_file(file)]
        if missing:
            kinds = ", ".join(sorted(set(map(kind_of_file, missing)) - {"nothing"}))
            raise FileNotFoundError(
                f"dataset {name!r}: {len(missing)} of {len(files)} files do not exist"
                f"{f' or are no files ({kinds})' if kinds else ''}: "
                f"{few(missing, 3)}; check DETECTRON2_DATASETS and how it was prepared"
            )


def build_evaluator(cfg: CfgNode, dataset_name: str) -> SegmentationEvaluator:
    """Build the evaluator of a registered dataset.

    Args:
        cfg: TEST and OUTPUT_DIR are used.
        dataset_name: name in the DatasetCatalog. Without an ``ignore_label`` it gets the default of
            :class:`~fgaseg_d2.data.labels.LabelSpec`.

    Raises:
        ValueError: the dataset cannot be evaluated.
        FileNotFoundError: as the dataset's own loading function says.
    """
    truth = _truth(cfg, dataset_name)
    folder = inference_folder(cfg.OUTPUT_DIR, dataset_name) / "predictions"
    return SegmentationEvaluator(
        truth,
        Extras(cfg.TEST.BOUNDARY_IOU, cfg.TEST.OLD_MIOU_RULE, cfg.TEST.FRAGMENTS),
        PredictionWriter(folder, truth) if cfg.TEST.SAVE_PREDICTIONS else None,
    )


def _truth(cfg: CfgNode, dataset_name: str) -> GroundTruth:
    return GroundTruth.from_metadata(
        dataset_name, setting(cfg, "DATASETS.UNSEEN"), cfg.TEST.MAX_PICTURES
    )


class LabelOutput(nn.Module):
    """A model that is asked for labels; one that knows only scores gives these.

    Args:
        model: list of dicts -> list of dicts.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, batched_inputs: Sequence[Mapping]) -> list[dict[str, Tensor]]:
        """Segment; see the model."""
        return self.model([{**item, "output": "labels"} for item in batched_inputs])


def model_for_test(cfg: CfgNode, model: nn.Module, evaluator: Any = None) -> nn.Module:
    """Prepare a model for an evaluator, averaged over several views where TEST.AUG says so.

    Args:
        cfg: INPUT.MIN_SIZE_TEST and TEST.AUG are used.
        model: list of dicts -> list of dicts.
        evaluator: of Detectron2, or several in a list; None takes one of this package. The model
            gives "labels", which take far less memory, if all say ``takes_labels``, and otherwise
            what Detectron2 expects: "sem_seg", scores at the size of the picture.
    """
    if cfg.TEST.AUG.ENABLED:
        model = AveragedViews(model, view_scales(cfg), cfg.TEST.AUG.FLIP)
    return LabelOutput(model) if evaluator is None or _take_labels(evaluator) else model


def _take_labels(evaluator: Any) -> bool:
    if isinstance(evaluator, (list, tuple)):
        return all(map(_take_labels, evaluator))
    return bool(getattr(evaluator, "takes_labels", False))


def view_scales(cfg: CfgNode) -> tuple[float, ...]:
    """TEST.AUG.MIN_SIZES as factors on INPUT.MIN_SIZE_TEST.

    Raises:
        ValueError: no sizes, or a size that is not above 0.
    """
    sizes = tuple(cfg.TEST.AUG.MIN_SIZES)
    if cfg.TEST.AUG.ENABLED and (not sizes or min(sizes) <= 0 or cfg.INPUT.MIN_SIZE_TEST <= 0):
        raise ValueError(
            "expected TEST.AUG.MIN_SIZES with sizes above 0, such as (512,640,768), and "
            f"INPUT.MIN_SIZE_TEST above 0, got {sizes} and {cfg.INPUT.MIN_SIZE_TEST}"
        )
    return tuple(size / max(cfg.INPUT.MIN_SIZE_TEST, 1) for size in sizes)


def _own_evaluator(evaluator: Any) -> SegmentationEvaluator | None:
    """The evaluator of this package, alone or in a list; None where there is none."""
    if isinstance(evaluator, (list, tuple)):
        return next(filter(None, map(_own_evaluator, evaluator)), None)
    return evaluator if isinstance(evaluator, SegmentationEvaluator) else None


def outcome(
    name: str, results: Mapping, evaluator: SegmentationEvaluator | None, run: Mapping
) -> Evaluation:
    """What was found, with more where an evaluator is our own."""
    figures: dict[str, float] = {}
    of_classes, single = [], class_keys(LabelSpec.from_metadata(name).classes)
    for task, values in results.items():
        prefix = "" if task == "sem_seg" else f"{task}/"
        figures |= {f"{prefix}{key}": float(value) for key, value in values.items()}
        of_classes += [f"{prefix}{key}" for key in values if key in single]
    evaluation = Evaluation(name, figures, run=run, of_classes=of_classes)
    if evaluator is None:
        return evaluation
    tally, truth = evaluator.tally, evaluator.truth
    return replace(
        evaluation,
        pictures=len(tally.pictures),
        expected=len(truth.files),
        per_class=tally.per_class(truth),
    )
