"""Checks a configuration, wherever it comes from, before anything is built or read with it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from itertools import pairwise

from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY

from ..wording import few, shown
from .methods import METHODS
from .renamed_keys import check_renamed
from .values import PAIR, RULES, SHARES, value_of


def check_keys(cfg: CfgNode) -> None:
    """Raise a ValueError for a configuration that ``add_fgaseg_config`` has not seen."""
    for key in RULES:
        try:
            value_of(cfg, key)
        except (KeyError, TypeError):
            raise ValueError(
                f"expected a configuration with the keys of fgaseg_d2, got one without {key}; call "
                "add_fgaseg_config(cfg) first"
            ) from None


def check_values(cfg: CfgNode) -> None:
    """Check every value that is read, by itself and beside others.

    Args:
        cfg: complete configuration, from whatever source; keys without a rule may hold anything.

    Raises:
        ValueError: a wrong one, or a missing key; the message is one line.
    """
    check_keys(cfg)
    for key, rule in RULES.items():
        value = value_of(cfg, key)
        if not rule.allows(value):
            raise ValueError(
                f"expected {key} to be {rule.expected}, got {shown(value)}; correct the value"
            )
    check_renamed(cfg)
    of_methods = (check for method in METHODS.values() for check in method.relations)
    for check in (*_RELATIONS, *of_methods):
        if message := check(cfg):
            raise ValueError(message)


def _crop_fits_its_type(cfg: CfgNode) -> str | None:
    kind, size = cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE
    relative = kind.startswith("relative")
    fits = SHARES if relative else PAIR
    # The default of the type changes with that of the size, and crops can be off.
    if not cfg.INPUT.CROP.ENABLED or (
        fits.allows(size) and (kind != "absolute_range" or size[0] <= size[1])
    ):
        return None
    form = {
        "absolute": "a height and a width in pixels, such as [384, 384]",
        "resized": "a height and a width in pixels, such as [224, 224]",
        "absolute_range": "the least and the greatest side in pixels, such as [256, 384]",
    }.get(kind, "shares of height and width above 0 and of at most 1, such as [0.9, 0.9]")
    return f"expected INPUT.CROP.SIZE to be {form}, for INPUT.CROP.TYPE {kind!r}, got {shown(size)}"


def _area_is_a_range(cfg: CfgNode) -> str | None:
    area = cfg.INPUT.CROP.AREA
    if area[0] <= area[1]:
        return None
    return (
        "expected INPUT.CROP.AREA to be the least and the greatest share of a picture's area, such "
        f"as [0.08, 1.0], got {shown(area)}"
    )


def _range_is_a_range(cfg: CfgNode) -> str | None:
    sizes = cfg.INPUT.MIN_SIZE_TRAIN
    if cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING != "range" or (len(sizes) == 2 and sizes[0] <= sizes[1]):
        return None
    return (
        "expected INPUT.MIN_SIZE_TRAIN to be the least and the greatest size, such as (320, 640), "
        f"for INPUT.MIN_SIZE_TRAIN_SAMPLING 'range', got {shown(sizes)}"
    )


def _schedule_fits(cfg: CfgNode) -> str | None:
    solver = cfg.SOLVER
    ends = solver.LR_SCHEDULER_NAME in ("WarmupCosineLR", "WarmupPolyLR")
    if ends and solver.BASE_LR_END > solver.BASE_LR:
        return (
            f"expected SOLVER.BASE_LR_END of at most SOLVER.BASE_LR {solver.BASE_LR:g}, got "
            f"{solver.BASE_LR_END:g}"
        )
    if solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        steps = [step for step in solver.STEPS if step < solver.MAX_ITER]
        # Detectron2 leaves out later steps, with a warning.
        if any(a >= b for a, b in pairwise(solver.STEPS)) or solver.MAX_ITER in solver.STEPS:
            return (
                "expected SOLVER.STEPS to be ascending iterations, none of them SOLVER.MAX_ITER "
                f"{solver.MAX_ITER}, got {shown(solver.STEPS)}"
            )
        return _enough_iterations(cfg, len(steps))
    if solver.LR_SCHEDULER_NAME == "WarmupStepWithFixedGammaLR":
        return _enough_iterations(cfg, solver.NUM_DECAYS)
    return None


def _enough_iterations(cfg: CfgNode, decays: int) -> str | None:
    if decays < cfg.SOLVER.MAX_ITER:
        return None
    return (
        f"expected SOLVER.MAX_ITER above the {decays} decays of SOLVER.LR_SCHEDULER_NAME "
        f"{cfg.SOLVER.LR_SCHEDULER_NAME!r}, got {cfg.SOLVER.MAX_ITER}"
    )


def _nesterov_has_momentum(cfg: CfgNode) -> str | None:
    if cfg.SOLVER.OPTIMIZER != "SGD" or not cfg.SOLVER.NESTEROV or cfg.SOLVER.MOMENTUM > 0:
        return None
    return "expected SOLVER.MOMENTUM above 0 with SOLVER.NESTEROV True, got 0"


def _batch_is_a_multiple(cfg: CfgNode) -> str | None:
    reference, batch = cfg.SOLVER.REFERENCE_WORLD_SIZE, cfg.SOLVER.IMS_PER_BATCH
    if not reference or batch % reference == 0:
        return None
    return (
        "expected SOLVER.IMS_PER_BATCH to be a multiple of SOLVER.REFERENCE_WORLD_SIZE "
        f"{reference}, got {batch}"
    )


def _views_have_a_size(cfg: CfgNode) -> str | None:
    if not cfg.TEST.AUG.ENABLED or cfg.INPUT.MIN_SIZE_TEST > 0:
        return None
    return (
        "expected INPUT.MIN_SIZE_TEST above 0 with TEST.AUG.ENABLED, whose sizes are relative to "
        "it, got 0"
    )


# Each returns what does not fit, or None.
_RELATIONS: tuple[Callable[[CfgNode], str | None], ...] = (
    _crop_fits_its_type,
    _area_is_a_range,
    _range_is_a_range,
    _schedule_fits,
    _nesterov_has_momentum,
    _batch_is_a_multiple,
    _views_have_a_size,
)


def check_names(cfg: CfgNode) -> None:
    """Check that what MODEL names is registered, once modules of one's own are imported.

    Args:
        cfg: complete configuration with values that :func:`check_values` allows.

    Raises:
        ValueError: a name is not registered, or Detectron2's own and not made for these models.
    """
    for key, registry in (
        ("MODEL.META_ARCHITECTURE", META_ARCH_REGISTRY),
        ("MODEL.BACKBONE.NAME", BACKBONE_REGISTRY),
        ("MODEL.SEM_SEG_HEAD.NAME", SEM_SEG_HEADS_REGISTRY),
    ):
        name = value_of(cfg, key)
        ours = [known for known, part in registry if not part.__module__.startswith("detectron2.")]
        if name in ours:
            continue
        near = difflib.get_close_matches(name, ours, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the names are {few(sorted(ours))}"
        raise ValueError(
            f"expected {key} to be one that fgaseg_d2 or a module of your own registers, got "
            f"{shown(name)}; {hint}"
        )


def check_config(cfg: CfgNode) -> None:
    """Check values and names, before a model is built.

    Raises:
        ValueError: as :func:`check_values` and :func:`check_names`.
    """
    check_values(cfg)
    check_names(cfg)
