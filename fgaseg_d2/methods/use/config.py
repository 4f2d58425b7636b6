"""USE's keys: the node MODEL.USE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode as CN

from ...config.methods import MethodConfig, Part, register_method
from ...config.rules import FLAG, NAME, TEXT, Rule, items, number, one_of, such_that, whole
from ...config.values import CHANNELS, COUNT_OR_NONE

_TOWER_KEYS = {
    "name": NAME,
    "pretrained": TEXT,
    "blocks": items(whole(1, 2**8)),
    "mean": items(number(), 3),
    "std": items(number(above=0), 3),
}


def add_config(cfg: CN) -> None:
    """Add MODEL.USE, with its defaults, to a configuration."""
    use = CN()
    # One to three frozen vision transformers, each {name: ...}: "clip" for that of MODEL.CLIP, or
    # what MODEL.CLIP.NAME takes (timm's names as well), with `pretrained` ("" for random weights)
    # and, where they are not those of its published weights, `mean` and `std` of its pixels
    # (0..255, in the order of INPUT.FORMAT). `blocks`, counted from 1, are its levels; absent:
    # LEVELS of them, evenly spaced, the last one among them.
    use.TOWERS = [{"name": "clip"}]
    use.LEVELS = 4
    use.LEVEL_MERGE = True  # False: of each tower the last level alone
    use.GLOBAL = True  # the towers' global embeddings, too
    use.DIM = 1024  # channels of a patch
    # "contrastive": a softmax over all segments, and over all texts, of the batch, equal texts
    # being positives of each other. "sigmoid": each pair of a segment and a text by itself.
    use.LOSS = "contrastive"
    use.TEMPERATURE = 0.07  # of the first softmax; it trains
    use.MAX_SEGMENTS = 64  # of a picture, in training; others are left out at random
    # Training takes, besides, so many of those that TEST.PROPOSALS finds in a picture, at random.
    # Each has the text of the segment that covers more than half of it; others are left out.
    use.PIECES = 0
    # Features of the frozen towers are kept between steps and runs, in iopath's cache folder
    # ($FVCORE_CACHE), in files of this many MiB together. For trainings that see the same pixels
    # again: no random crops, flips or colors. 0: not kept.
    use.FEATURE_CACHE = 0
    cfg.MODEL.USE = use


def _is_tower(item: Any) -> bool:
    return (
        isinstance(item, Mapping)
        and "name" in item
        and all(key in _TOWER_KEYS and _TOWER_KEYS[key].allows(item[key]) for key in item)
    )


_TOWER = Rule("{name: ...} with pretrained, blocks, mean or std where wanted", _is_tower)
_TOWERS = such_that(
    items(_TOWER, empty=False),
    lambda value: len(value) <= 3 and len({item["name"] for item in value}) == len(value),
    "three at most, of different names",
)


def _frozen(cfg: CN) -> str | None:
    """Towers are read without gradients."""
    if cfg.MODEL.META_ARCHITECTURE != "USE" or cfg.MODEL.CLIP.FINETUNE == "frozen":
        return None
    return (
        "expected MODEL.CLIP.FINETUNE 'frozen' with MODEL.META_ARCHITECTURE USE, got "
        f"'{cfg.MODEL.CLIP.FINETUNE}'"
    )


def _whole_pictures(cfg: CN) -> str | None:
    """Segments are embedded in the picture that they are of."""
    if cfg.MODEL.META_ARCHITECTURE != "USE" or not cfg.TEST.SLIDING_WINDOW.ENABLED:
        return None
    return "expected TEST.SLIDING_WINDOW.ENABLED False with MODEL.META_ARCHITECTURE USE, got True"


def _found_pieces(cfg: CN) -> str | None:
    """Pieces are those of the picture that a training sees, and other than its segments."""
    use, kind = cfg.MODEL.META_ARCHITECTURE == "USE", cfg.TEST.PROPOSALS.KIND
    if not use or not cfg.MODEL.USE.PIECES or kind in ("superpixels", "sam"):
        return None
    return (
        "expected TEST.PROPOSALS.KIND superpixels or sam with MODEL.USE.PIECES above 0, got "
        f"'{kind}'; set MODEL.USE.PIECES 0, as an evaluation with them needs"
    )


_UNREAD = (
    *("MODEL.SEM_SEG_HEAD.NAME", "MODEL.CLIP.LOGIT_SCALE", "MODEL.CLIP.DENSE_READING"),
    "TEST.SEGMENT_VOTE",  # it has segments by itself
    *("MODEL.CLIP.GUIDANCE_BLOCKS", "MODEL.CLIP.PROMPT_LENGTH", "MODEL.CLIP.PROMPT_DEPTH"),
)

# Sizes, windows and words of the paper's evaluation are not known.
_PUBLISHED = {
    "MODEL.USE.TOWERS": [
        {"name": "clip"},
        {"name": "vit_large_patch14_dinov2", "pretrained": "lvd142m"},
    ],
    "MODEL.USE.LEVEL_MERGE": True,
    "MODEL.USE.GLOBAL": True,
    "TEST.PROPOSALS.KIND": "sam",
    "TEST.SLIDING_WINDOW.ENABLED": False,
}

register_method(
    MethodConfig(
        "USE",
        node="MODEL.USE",
        add_keys=add_config,
        rules={
            "TOWERS": _TOWERS,
            "LEVELS": whole(1, 2**8),
            "LEVEL_MERGE": FLAG,
            "GLOBAL": FLAG,
            "DIM": CHANNELS,
            "LOSS": one_of("contrastive", "sigmoid"),
            "TEMPERATURE": number(0.01, 1),
            "MAX_SEGMENTS": whole(1),
            "PIECES": COUNT_OR_NONE,
            "FEATURE_CACHE": COUNT_OR_NONE,
        },
        relations=(_frozen, _whole_pictures, _found_pieces),
        parts=(
            Part("MODEL.META_ARCHITECTURE", _UNREAD, lambda name: False),
            Part("MODEL.USE.LEVEL_MERGE", ("MODEL.USE.LEVELS",)),
            Part("MODEL.USE.LOSS", ("MODEL.USE.TEMPERATURE",), lambda loss: loss == "contrastive"),
        ),
        training_only=("MODEL.USE.TEMPERATURE", "MODEL.USE.MAX_SEGMENTS", "MODEL.USE.PIECES"),
        published=_PUBLISHED,
        finds_segments=True,
    )
)
