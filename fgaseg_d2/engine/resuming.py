"""What a run that is resumed takes from its checkpoint, whatever its configuration says now."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode

from ..config.methods import chosen_method
from ..config.renamed_keys import NEW_NAMES, setting
from ..wording import few, shown

# The optimiser's state brings its rates, the weights replace their initial values.
_KEPT = (
    *("SOLVER.BASE_LR", "SOLVER.LR_MULTIPLIERS.CLIP", "SOLVER.LR_MULTIPLIERS.PROMPTS"),
    *("SOLVER.LR_MULTIPLIERS.SCALARS", "SOLVER.LR_MULTIPLIERS.HEAD"),
    *("SOLVER.BIAS_LR_FACTOR", "SOLVER.WEIGHT_DECAY"),
    *("SOLVER.WEIGHT_DECAY_NORM", "SOLVER.WEIGHT_DECAY_EMBED", "SOLVER.WEIGHT_DECAY_BIAS"),
    *("SOLVER.ADAMW_EPS", "SOLVER.MOMENTUM", "SOLVER.NESTEROV"),
    *("MODEL.CLIP.PRETRAINED", "MODEL.CLIP.LOGIT_SCALE"),
)
# Decide which parameters share a group of the optimiser.
_GROUPING = ("SOLVER.OPTIMIZER", "MODEL.CLIP.FINETUNE")
# Names in a group of the optimiser, and where their values come from.
_SOURCES = {
    "initial_lr": "SOLVER.BASE_LR, LR_MULTIPLIERS or BIAS_LR_FACTOR",
    "weight_decay": "SOLVER.WEIGHT_DECAY",
    "eps": "SOLVER.ADAMW_EPS",
    "momentum": "SOLVER.MOMENTUM",
    "nesterov": "SOLVER.NESTEROV",
}


def kept_settings(cfg: CfgNode) -> dict[str, Any]:
    """The values that a checkpoint keeps, by key, as plain types."""
    method = chosen_method(cfg)
    keys = (*_KEPT, *method.kept, *_GROUPING, *method.grouping)
    return {key: setting(cfg, key) for key in keys}


def warn_of_kept(
    cfg: CfgNode,
    settings: Mapping[str, Any] | None,
    groups: Sequence[Mapping[str, Any]],
    kept_groups: Sequence[Mapping[str, Any]],
    logger: logging.Logger,
) -> None:
    """Log a warning for each key whose new value changes nothing.

    Args:
        cfg: of the run that goes on.
        settings: :func:`kept_settings` of the run so far; None in checkpoints of older code.
        groups: of the optimiser as ``cfg`` would have them.
        kept_groups: of the optimiser in the checkpoint.
        logger: of the caller.
    """
    found = _of_groups(groups, kept_groups) if settings is None else _of_settings(cfg, settings)
    for key, now, kept in found:
        logger.warning(
            "%s %s has no effect on a run that is resumed: it goes on with %s of its checkpoint",
            *(key, shown(now), shown(kept)),
        )


def check_groups(
    cfg: CfgNode,
    settings: Mapping[str, Any] | None,
    groups: Sequence[Mapping[str, Any]],
    kept_groups: Sequence[Mapping[str, Any]],
) -> None:
    """Raise a ValueError unless an optimiser can go on from a checkpoint's.

    Args:
        cfg, settings, groups, kept_groups: as in :func:`warn_of_kept`.
    """
    shapes = [
        [(sorted(set(group) - {"params", "initial_lr"}), len(group["params"])) for group in part]
        for part in (groups, kept_groups)
    ]
    if shapes[0] == shapes[1]:
        return
    changed = [key for key, _, _ in _of_settings(cfg, settings or {})]
    names = changed or ["SOLVER.OPTIMIZER", "MODEL.CLIP.FINETUNE", "SOLVER.WEIGHT_DECAY_NORM"]
    raise ValueError(
        "expected to go on with the optimiser of the checkpoint, but this one has other parameters "
        f"or another kind; set {few(names)} as before, or start anew without resuming"
    )


def _of_settings(cfg: CfgNode, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    kept = {NEW_NAMES.get(key, key): value for key, value in settings.items()}
    for key, now in kept_settings(cfg).items():
        if key in kept and kept[key] != now:
            yield key, now, kept[key]


def _of_groups(
    groups: Sequence[Mapping[str, Any]], kept: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Any, Any]]:
    for name, key in _SOURCES.items():
        now, before = ([group.get(name) for group in part] for part in (groups, kept))
        if now != before:
            yield key, now, before


def group_settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The groups of an optimiser as they are now; later changes do not reach them."""
    return [dict(group) for group in optimizer.param_groups]
