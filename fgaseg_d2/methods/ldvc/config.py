"""LDVC's keys: the node MODEL.LDVC. The defaults are those of VOC 15/5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2.config import CfgNode as CN

from ...config.methods import MethodConfig, Part, register_method
from ...config.rules import FLAG, number, one_of, whole
from ...config.values import CHANNELS, COUNT, COUNT_OR_NONE, NOT_NEGATIVE


def add_config(cfg: CN) -> None:
    """Add MODEL.LDVC, with its defaults, to a configuration."""
    ldvc = CN()
    # Learned prompts: "vision" (deep tokens in every block of the image tower), "language" (in
    # place of the hand-made prompt's tokens in every block of the text tower), "both" or "none".
    ldvc.PROMPTS = "both"
    ldvc.PROMPT_LENGTH = 10  # vision tokens a block: VOC 10, COCO-Stuff 100, Context 10
    ldvc.DROP_PATH = 0.1  # of CLIP's image tower, in training

    # What the decoder's queries look for: "class" (pixels move toward the classes' embeddings), or
    # "vision" (classes look for pixels, ZegCLIP's decoder).
    ldvc.ANCHOR = "class"
    # Self-attention between pixels: "route" (to the best windows), "full" or "none".
    ldvc.CONSENSUS = "route"
    ldvc.WINDOW_SIZE = 4  # tokens a side of a window
    ldvc.TOP_WINDOWS = 4  # windows that a window's tokens attend to, clipped to those there are
    # A layer's masks: "attention" (its cross attention before the softmax, over heads) or "dot".
    ldvc.MASK = "attention"
    # What training starts from: "random" weights, or weights that make the masks of every layer
    # CLIP's own similarities ("clip"), which learns where classes are in far fewer iterations. They
    # are times 16 with MASK "attention"; with "dot" times the root of the channels, or 1 with
    # ANCHOR "vision" and CONSENSUS "none".
    ldvc.START = "random"
    ldvc.LAYERS = 3
    ldvc.HEADS = 8
    ldvc.DROPOUT = 0.1

    # Unseen classes are unknown in training ("inductive"), or their names are known, and in the
    # second half of the schedule unlabelled pixels take the best of them ("transductive").
    ldvc.TRAINING = "inductive"
    # Inductive only: off the scores (0..1) of the classes seen in training, before the best class
    # of a pixel is taken.
    ldvc.SEEN_SHIFT = 0.1

    ldvc.LOSS = CN()
    ldvc.LOSS.FOCAL_WEIGHT = 100.0
    ldvc.LOSS.DICE_WEIGHT = 1.0
    # An ignored pixel counts as "none of the classes" (True) or not at all (False).
    ldvc.LOSS.IGNORED_AS_NEGATIVE = True
    # Train each step on the classes in the batch and random others, this many in all. 0: on all.
    ldvc.LOSS.SAMPLED_CLASSES = 0
    cfg.MODEL.LDVC = ldvc


_SHARE = number(0, 0.99)
_RULES = {
    "PROMPTS": one_of("vision", "language", "both", "none"),
    "PROMPT_LENGTH": whole(1, 2**10),
    "DROP_PATH": _SHARE,
    "ANCHOR": one_of("class", "vision"),
    "CONSENSUS": one_of("none", "full", "route"),
    "WINDOW_SIZE": whole(1, 2**10),
    "TOP_WINDOWS": COUNT,
    "MASK": one_of("attention", "dot"),
    "START": one_of("random", "clip"),
    "LAYERS": whole(1, 2**6),
    "HEADS": CHANNELS,
    "DROPOUT": _SHARE,
    "TRAINING": one_of("inductive", "transductive"),
    "SEEN_SHIFT": number(0, 1),
    "LOSS.FOCAL_WEIGHT": NOT_NEGATIVE,
    "LOSS.DICE_WEIGHT": NOT_NEGATIVE,
    "LOSS.IGNORED_AS_NEGATIVE": FLAG,
    "LOSS.SAMPLED_CLASSES": COUNT_OR_NONE,
}


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _inside(*names: str) -> tuple[str, ...]:
    return tuple(f"MODEL.LDVC.{name}" for name in names)


register_method(
    MethodConfig(
        "LDVC",
        node="MODEL.LDVC",
        add_keys=add_config,
        rules=_RULES,
        parts=(
            Part("MODEL.META_ARCHITECTURE", ("MODEL.SEM_SEG_HEAD.NAME",), _is()),
            Part("MODEL.META_ARCHITECTURE", ("MODEL.CLIP.LOGIT_SCALE",), _is()),
            Part("MODEL.LDVC.PROMPTS", _inside("PROMPT_LENGTH"), _is("vision", "both")),
            Part("MODEL.LDVC.CONSENSUS", _inside("WINDOW_SIZE", "TOP_WINDOWS"), _is("route")),
            Part("MODEL.LDVC.TRAINING", _inside("SEEN_SHIFT"), _is("inductive")),
        ),
        training_only=_inside("START", "DROP_PATH", "DROPOUT", "LOSS."),
    )
)
