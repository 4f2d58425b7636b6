"""Says in plain types how predictions are made, and what of that is not as published."""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode

from ..config.methods import chosen_method
from ..config.renamed_keys import setting

# What no published figures of these methods come of.
_PUBLISHED = {"TEST.AUG.ENABLED": False, "TEST.PAMR.ITERATIONS": 0}
# What changes neither the model nor what it is shown.
_WITHOUT_EFFECT = ("DATASETS", "DATALOADER", "SOLVER", "OUTPUT_DIR", "SEED", "VERSION")


def describe_run(
    cfg: CfgNode, config_file: str = "", image_size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Describe how a configuration makes predictions.

    Args:
        cfg: complete configuration.
        config_file: where it came from, "" if that is not known.
        image_size: height and width at which the model sees pictures; None for what the
            configuration says, which may leave it to the tower.

    Returns:
        "weights", "config", "clip", "architecture", "protocol" (one line), "deviations" from the
        published one of the method, if it has one, and from the words of the test sets,
        "fingerprint", which differs where weights or settings do, "unseen", what DATASETS.UNSEEN
        says where it says anything, and "trained_on", where that is known to be no label maps.
    """
    return {
        "weights": _weights(cfg),
        "config": config_file,
        "clip": cfg.MODEL.CLIP.NAME,
        "architecture": cfg.MODEL.META_ARCHITECTURE,
        "protocol": describe_protocol(cfg, image_size),
        "deviations": _deviations(cfg),
        "fingerprint": _fingerprint(cfg),
        **({"trained_on": source} if (source := _trained_on(cfg)) else {}),
        **({"unseen": unseen} if (unseen := setting(cfg, "DATASETS.UNSEEN")) else {}),
    }


def _deviations(cfg: CfgNode) -> list[str]:
    own = chosen_method(cfg).published
    published = {**_PUBLISHED, **own} if own else {}
    settings = [
        f"{key} is {_value(cfg, key)!r} instead of {wanted!r}"
        for key, wanted in published.items()
        if _value(cfg, key) != wanted and not _moot(cfg, key)
    ]
    words = zip(cfg.DATASETS.TEST, cfg.DATASETS.TEST_VOCABULARIES, strict=False)
    return settings + [f"other words for {name}: {given}" for name, given in words if given]


def _trained_on(cfg: CfgNode) -> str:
    """What the method says, unless a CLIP has weights of a training that nothing is known of."""
    source = chosen_method(cfg).trained_on
    return "" if source == "nothing" and cfg.MODEL.WEIGHTS else source


def _weights(cfg: CfgNode) -> str:
    clip, others = cfg.MODEL.CLIP.PRETRAINED, chosen_method(cfg).other_weights(cfg)
    if cfg.MODEL.WEIGHTS:
        return cfg.MODEL.WEIGHTS + (f", with {others}" if others else "")
    if others:
        return f"{f'CLIP ({clip})' if clip else 'a random CLIP'} with {others}, no others"
    return f"CLIP's own ({clip}), no others" if clip else "none (random)"


def describe_protocol(cfg: CfgNode, image_size: Sequence[int] | None = None) -> str:
    """How pictures are looked at, in one line.

    Args:
        cfg: complete configuration.
        image_size: as :func:`describe_run` takes it.
    """
    window, sides = cfg.TEST.SLIDING_WINDOW, image_size or cfg.MODEL.CLIP.IMAGE_SIZE
    size = _by(list(sides)) if sides else "the tower's own size"
    if window.ENABLED and window.SHORT_SIDE:
        looks = (
            f"sliding window, short side {window.SHORT_SIDE}, at most {window.LONG_SIDE}, windows "
            f"{_by(window.SIZE)} at stride {_by(window.STRIDE)}, each at {size}"
        )
    elif window.ENABLED:
        looks = (
            f"sliding window, canvas {_by(window.CANVAS)}, windows {_by(window.SIZE)} at stride "
            f"{_by(window.STRIDE)} and the whole picture, each at {size}"
        )
    else:
        looks = f"the whole picture at {size}"
    short, longest = cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST
    parts = [
        f"short side {short}, at most {longest}" if short else "pictures at their own size",
        looks,
        *(f"{name} {_by(_value(cfg, key))}" for name, key in chosen_method(cfg).protocol.items()),
    ]
    if cfg.TEST.PAMR.ITERATIONS:
        dilations = ", ".join(map(str, cfg.TEST.PAMR.DILATIONS))
        parts.append(f"PAMR, {cfg.TEST.PAMR.ITERATIONS} iterations, dilations {dilations}")
    if cfg.TEST.AUG.ENABLED:
        mirrored = " and mirrored" if cfg.TEST.AUG.FLIP else ""
        parts.append(f"averaged over sizes {tuple(cfg.TEST.AUG.MIN_SIZES)}{mirrored}")
    return "; ".join(parts)


def _fingerprint(cfg: CfgNode) -> str:
    effective = cfg.clone()
    effective.defrost()
    for key in _WITHOUT_EFFECT:
        effective.pop(key, None)
    weights = cfg.MODEL.WEIGHTS
    state = os.stat(weights) if os.path.isfile(weights) else None
    written = (state.st_size, state.st_mtime_ns) if state else ()
    return hashlib.sha256(f"{effective.dump()}{written}".encode()).hexdigest()[:16]


def _moot(cfg: CfgNode, key: str) -> bool:
    """Whether a key has no effect because of another that is named already."""
    inside = key.startswith("TEST.SLIDING_WINDOW.") and not key.endswith("ENABLED")
    return inside and not cfg.TEST.SLIDING_WINDOW.ENABLED


def _value(cfg: CfgNode, key: str) -> Any:
    value = setting(cfg, key)
    return list(value) if isinstance(value, tuple) else value


def _by(sides: list[int]) -> str:
    return " x ".join(map(str, sides))
