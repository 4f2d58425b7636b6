"""What a run that is resumed takes from its checkpoint, whatever its configuration says now."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode

from ..config.values import value_of
from ..wording import few, shown

# The optimiser's state brings its rates, the weights replace their initial values.
_KEPT = (
    *("SOLVER.BASE_LR", "SOLVER.CLIP_MULTIPLIER", "SOLVER.BIAS_LR_FACTOR", "SOLVER.WEIGHT_DECAY"),
    *("SOLVER.WEIGHT_DECAY_NORM", "SOLVER.WEIGHT_DECAY_EMBED", "SOLVER.WEIGHT_DECAY_BIAS"),
    *("SOLVER.MOMENTUM", "SOLVER.NESTEROV", "MODEL.CLIP.PRETRAINED", "MODEL.CLIP.LOGIT_SCALE"),
    "MODEL.FGASEG.P2T.GAMMA",
)
# Decide which parameters share a group of the optimiser.
_GROUPING = ("SOLVER.OPTIMIZER", "MODEL.CLIP.FINETUNE", "MODEL.FGASEG.P2T.GAMMA_TRAINABLE")
# Names in a group of the optimiser, and where their values come from.
_SOURCES = {
    "initial_lr": "SOLVER.BASE_LR, CLIP_MULTIPLIER or BIAS_LR_FACTOR",
    "weight_decay": "SOLVER.WEIGHT_DECAY",
    "momentum": "SOLVER.MOMENTUM",
    "nesterov": "SOLVER.NESTEROV",
}


def kept_settings(cfg: CfgNode) -> dict[str, Any]:
    """The values that a checkpoint keeps, by key, as plain types."""
    return {key: value_of(cfg, key) for key in (*_KEPT, *_GROUPING)}


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
    for key, now in kept_settings(cfg).items():
        if key in settings and settings[key] != now:
            yield key, now, settings[key]


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
