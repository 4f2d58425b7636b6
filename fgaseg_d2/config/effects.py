"""Finds keys that are accepted and recorded, but change nothing, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY

from ..checkpoint.files import stands_on_clip
from ..wording import shown
from .keys import add_fgaseg_config
from .methods import Part, chosen_method, parts_of_methods
from .values import RULES, leaves, value_of

_REGISTRIES = {
    "MODEL.META_ARCHITECTURE": META_ARCH_REGISTRY,
    "MODEL.BACKBONE.NAME": BACKBONE_REGISTRY,
    "MODEL.SEM_SEG_HEAD.NAME": SEM_SEG_HEADS_REGISTRY,
}


def _is(*values: str) -> Callable[[Any], bool]:
    return lambda value: value in values


_PARTS = (
    Part("INPUT.MIN_SIZE_TEST", ("INPUT.MAX_SIZE_TEST",)),
    Part(
        "INPUT.CROP.ENABLED",
        tuple(f"INPUT.CROP.{key}" for key in ("TYPE", "SIZE", "AREA", "SINGLE_CATEGORY_MAX_AREA")),
    ),
    Part("INPUT.CROP.TYPE", ("INPUT.CROP.AREA",), _is("resized")),
    Part(
        "INPUT.CROP.TYPE",
        ("INPUT.MIN_SIZE_TRAIN", "INPUT.MAX_SIZE_TRAIN", "INPUT.MIN_SIZE_TRAIN_SAMPLING"),
        lambda kind: kind != "resized",
        only_with="INPUT.CROP.ENABLED",
    ),
    Part(
        "MODEL.WEIGHTS",
        ("MODEL.CLIP.PRETRAINED",),
        lambda weights: not weights or stands_on_clip(weights),
        unless="MODEL.WEIGHTS_PARTIAL",
    ),
    Part("MODEL.CLIP.PROMPT_LENGTH", ("MODEL.CLIP.PROMPT_DEPTH",)),
    Part("MODEL.CLIP.PROMPT_DEPTH", ("MODEL.CLIP.PROMPT_LENGTH",)),
    Part("SOLVER.AMP.ENABLED", ("SOLVER.AMP.DTYPE",)),
    Part(
        "SOLVER.CLIP_GRADIENTS.ENABLED",
        tuple(f"SOLVER.CLIP_GRADIENTS.{key}" for key in ("CLIP_TYPE", "CLIP_VALUE", "NORM_TYPE")),
    ),
    Part(
        "SOLVER.CLIP_GRADIENTS.CLIP_TYPE",
        ("SOLVER.CLIP_GRADIENTS.NORM_TYPE",),
        _is("norm", "full_model"),
    ),
    Part("SOLVER.OPTIMIZER", ("SOLVER.ADAMW_EPS",), _is("ADAMW")),
    Part("SOLVER.OPTIMIZER", ("SOLVER.MOMENTUM", "SOLVER.NESTEROV"), lambda name: name != "ADAMW"),
    Part(
        "SOLVER.LR_SCHEDULER_NAME",
        ("SOLVER.STEPS",),
        lambda name: name not in ("WarmupCosineLR", "WarmupStepWithFixedGammaLR", "WarmupPolyLR"),
    ),
    Part(
        "SOLVER.LR_SCHEDULER_NAME",
        ("SOLVER.GAMMA",),
        lambda name: name not in ("WarmupCosineLR", "WarmupPolyLR"),
    ),
    Part(
        "SOLVER.LR_SCHEDULER_NAME",
        ("SOLVER.POLY_LR_POWER",),
        # A schedule of one's own may read it.
        lambda name: not name.startswith("Warmup") or name == "WarmupPolyLR",
    ),
    Part(
        "SOLVER.LR_SCHEDULER_NAME",
        ("SOLVER.NUM_DECAYS",),
        lambda name: name not in ("WarmupCosineLR", "WarmupMultiStepLR", "WarmupPolyLR"),
    ),
    Part(
        "SOLVER.LR_SCHEDULER_NAME",
        ("SOLVER.BASE_LR_END",),
        lambda name: name not in ("WarmupMultiStepLR", "WarmupStepWithFixedGammaLR"),
    ),
    Part(
        "SOLVER.WARMUP_ITERS",
        ("SOLVER.WARMUP_FACTOR", "SOLVER.WARMUP_METHOD", "SOLVER.RESCALE_INTERVAL"),
    ),
    Part(
        "TEST.SLIDING_WINDOW.ENABLED",
        tuple(
            f"TEST.SLIDING_WINDOW.{key}"
            for key in ("CANVAS", "SIZE", "STRIDE", "SHORT_SIDE", "LONG_SIDE")
        ),
    ),
    Part("TEST.SLIDING_WINDOW.SHORT_SIDE", ("TEST.SLIDING_WINDOW.CANVAS",), lambda side: not side),
    Part("TEST.SLIDING_WINDOW.SHORT_SIDE", ("TEST.SLIDING_WINDOW.LONG_SIDE",)),
    *(
        Part("TEST.PROPOSALS.KIND", tuple(f"TEST.PROPOSALS.{key}" for key in keys), _is(*kinds))
        for kinds, keys in (
            (("superpixels",), ("SUPERPIXELS", "COMPACTNESS")),
            (("sam",), ("SAM", "POINTS", "IOU", "STABILITY", "NMS", "SMALLEST", "SAME")),
            (("file",), ("FILE",)),
            (("superpixels", "sam"), ("CACHE",)),
        )
    ),
    Part("TEST.PAMR.ITERATIONS", ("TEST.PAMR.DILATIONS",)),
    Part("TEST.AUG.ENABLED", ("TEST.AUG.MIN_SIZES", "TEST.AUG.FLIP")),
    Part("TEST.PRECISE_BN.ENABLED", ("TEST.PRECISE_BN.NUM_ITER",)),
)
_TRAINING_ONLY = (
    *("SOLVER.", "DATASETS.TRAIN", "DATASETS.CAPTIONS", "DATASETS.SEGMENTS"),
    "DATALOADER.SAMPLER_TRAIN",
    "MODEL.CLIP.GRADIENT_CHECKPOINTING",
    *("MODEL.SEM_SEG_HEAD.IGNORE_VALUE", "INPUT.MIN_SIZE_TRAIN", "INPUT.MIN_SIZE_TRAIN_SAMPLING"),
    *("INPUT.MAX_SIZE_TRAIN", "INPUT.RANDOM_FLIP", "INPUT.COLOR_AUG_SSD", "INPUT.CROP."),
    *("TEST.EVAL_PERIOD", "TEST.PRECISE_BN.", "CUDNN_BENCHMARK"),
)
_SCORING_ONLY = (
    *("DATALOADER.", "TEST.AUG.", "TEST.IMS_PER_BATCH", "TEST.MAX_PICTURES", "TEST.BOUNDARY_IOU"),
    *("TEST.FRAGMENTS", "TEST.BACKGROUND_THRESHOLD", "TEST.BACKGROUND_WORDS"),
    *("TEST.OLD_MIOU_RULE", "TEST.UNSEEN_CLASSES", "TEST.SAVE_PREDICTIONS"),
    *("TEST.EXPECTED_RESULTS", "DATASETS.TEST_VOCABULARIES", "OUTPUT_DIR", "SEED"),
)


@dataclass(frozen=True)
class Use:
    """What a program does with a configuration.

    Attributes:
        words: it in words, such as "an evaluation".
        unused: keys, and beginnings of keys that end in a dot, that it does not read, beside those
            that a method names as for training only.
    """

    words: str
    unused: tuple[str, ...]


EVALUATION = Use("an evaluation", _TRAINING_ONLY)
PREDICTION = Use("a prediction", (*_TRAINING_ONLY, *_SCORING_ONLY))


def without_effect(
    cfg: CfgNode, given: Iterable[str], use: Use | None = None
) -> Iterator[tuple[str, str]]:
    """Yield those of some keys that change nothing, each with the reason.

    Args:
        cfg: complete configuration, with all changes.
        given: keys that somebody set on purpose.
        use: what ``cfg`` is for; None for anything.
    """
    unread = set(unread_keys(cfg))
    for key in dict.fromkeys(given):
        if key in unread:
            yield key, "nothing here reads it"
        elif use is not None and _among(key, (*use.unused, *chosen_method(cfg).training_only)):
            yield key, f"{use.words} does not read it"
        elif (part := _switched_off(cfg, key)) is not None:
            yield key, f"{part.switch} is {shown(value_of(cfg, part.switch))}"


def unread_keys(cfg: CfgNode) -> list[str]:
    """The keys of Detectron2 that neither trainer, evaluator nor model reads.

    Args:
        cfg: complete configuration. Where it names a model of one's own, that may read any key of
            MODEL; keys that somebody added are not judged either.
    """
    own = not all(_is_ours(key, value_of(cfg, key)) for key in _REGISTRIES)
    keys = [key for key, _ in leaves(get_cfg()) if key not in RULES]
    return [key for key in keys if not (own and key.startswith("MODEL."))]


def warn_of_unread(cfg: CfgNode, logger: logging.Logger) -> None:
    """Log a warning for each key with a value of its own that nothing reads.

    Args:
        cfg: complete configuration, from whatever source.
        logger: of the caller.
    """
    defaults = get_cfg()
    add_fgaseg_config(defaults)
    present = dict(leaves(cfg))
    changed = [key for key, value in leaves(defaults) if present.get(key, value) != value]
    unread = set(unread_keys(cfg))
    warn(without_effect(cfg, [key for key in changed if key in unread]), cfg, logger)


def warn(found: Iterable[tuple[str, str]], cfg: CfgNode, logger: logging.Logger) -> None:
    """Log a warning for each key that :func:`without_effect` found."""
    for key, reason in found:
        value = shown(value_of(cfg, key))
        logger.warning("%s %s has no effect: %s", key, value, reason)


def _is_ours(key: str, name: str) -> bool:
    """Whether a name in a registry stands for a class of this package."""
    registry = _REGISTRIES[key]
    package = __name__.partition(".")[0]
    return name in registry and registry.get(name).__module__.startswith(f"{package}.")


def _among(key: str, names: Iterable[str]) -> bool:
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in names)


def _switched_off(cfg: CfgNode, key: str) -> Part | None:
    for part in (*_PARTS, *parts_of_methods(cfg)):
        if key != part.switch and _among(key, part.keys) and not part.reads(cfg):
            return part
    return None
