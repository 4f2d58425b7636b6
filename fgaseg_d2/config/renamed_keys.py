"""Keys that have a new name: the old one works for one release, with a warning.

Both stay in the tree, because yacs would take an unknown attribute without a word.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from detectron2.config import CfgNode, get_cfg

from ..wording import shown, warn_once
from .keys import add_fgaseg_config
from .values import value_of

logger = logging.getLogger(__name__)

NEW_NAMES = {
    "MODEL.FGASEG.VOCABULARY": "MODEL.WORDS.VOCABULARY",
    "MODEL.FGASEG.PROMPT_TEMPLATES": "MODEL.WORDS.PROMPT_TEMPLATES",
    "TEST.UNSEEN_CLASSES": "DATASETS.UNSEEN",
    "SOLVER.CLIP_MULTIPLIER": "SOLVER.LR_MULTIPLIERS.CLIP",
}
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}
# What configurations that 0.1 had write under new names. Whoever sets an old one on top of them,
# as in 0.1, means it.
BUNDLED: dict[str, tuple] = {
    "MODEL.WORDS.PROMPT_TEMPLATES": ("imagenet",),
    "SOLVER.LR_MULTIPLIERS.CLIP": (0.15, 1.0),
}


def setting(cfg: CfgNode, key: str) -> Any:
    """The value of a key, or of its old name where that alone was changed.

    Args:
        cfg: complete configuration, from whatever source.
        key: such as "MODEL.WORDS.VOCABULARY".

    Raises:
        ValueError: it and its old name have different values, and neither is the default or, for
            the new name, what a configuration of the package says.
    """
    value = value_of(cfg, key)
    old = OLD_NAMES.get(key)
    if old is None or (before := value_of(cfg, old)) in (value, value_of(_defaults(), old)):
        return value
    if value not in (value_of(_defaults(), key), *BUNDLED.get(key, ())):
        raise ValueError(
            f"expected {key} alone, got {shown(value)} beside {shown(before)} in its old name "
            f"{old}; leave the old one out"
        )
    warn_of_old_name(old)
    return before


def check_renamed(cfg: CfgNode) -> None:
    """Raise a ValueError if a key and its old name have different values."""
    for key in OLD_NAMES:
        setting(cfg, key)


def forget_old_name(cfg: CfgNode, key: str) -> None:
    """Put the default back under the old name of a key that was set by its new one."""
    put(cfg, OLD_NAMES[key], value_of(_defaults(), OLD_NAMES[key]))


def put(cfg: CfgNode, key: str, value: Any) -> None:
    """Set a key as an attribute is set, unchecked."""
    node, _, name = key.rpartition(".")
    value_of(cfg, node)[name] = value


def warn_of_old_name(key: str) -> None:
    """Say once that a key has a new name."""
    warn_once(
        logger,
        f"{key} is now {NEW_NAMES[key]}; the old name works for one more release",
    )


@cache
def _defaults() -> CfgNode:
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    return cfg
