"""FGAseg's keys: the node MODEL.FGASEG."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2.config import CfgNode as CN

from ...config.methods import MethodConfig, Part, register_method
from ...config.rules import FLAG, NAME, TEXT, items, number, one_of, such_that, whole
from ...config.values import CHANNELS, COUNT, COUNT_OR_NONE, DEPTH, NOT_NEGATIVE, value_of
from ...wording import shown


def add_config(cfg: CN) -> None:
    """Add MODEL.FGASEG, with its defaults, to a configuration."""
    fgaseg = CN()
    fgaseg.VOCABULARY = ""  # old names of MODEL.WORDS.VOCABULARY ...
    fgaseg.PROMPT_TEMPLATES = "single"  # ... and MODEL.WORDS.PROMPT_TEMPLATES

    fgaseg.P2T = CN()
    fgaseg.P2T.LAYERS = 1  # 0 switches the P2Tformer off
    fgaseg.P2T.HEADS = 8
    fgaseg.P2T.GAMMA = 0.1  # initial weight of the pixel-aware text
    fgaseg.P2T.GAMMA_TRAINABLE = True

    fgaseg.LCS = CN()
    fgaseg.LCS.ENABLED = True
    fgaseg.LCS.KERNEL_SIZE = 3  # odd
    fgaseg.LCS.KERNEL_NORM = True  # softmax over the positions of each channel's kernel

    fgaseg.FUSION = "cat"  # how global and local maps meet: "cat" (concatenate, project) or "add"
    fgaseg.HIDDEN_DIM = 128  # channels of a class map
    fgaseg.GUIDANCE_DIM = 128  # channels of the image and text guidance in the aggregation
    fgaseg.AGGREGATION_LAYERS = 2
    fgaseg.ATTENTION_HEADS = 4
    fgaseg.WINDOW_SIZE = 12  # tokens a side of a Swin window
    # Class attention pools the maps by this much. Training: saves memory; testing: the protocol.
    fgaseg.POOLING_TRAIN = [2, 2]
    fgaseg.POOLING_TEST = [1, 1]
    # Above this many classes each picture keeps its best ones (largest cosine); below it the class
    # attention is padded to this length with a learned token.
    fgaseg.MAX_CLASSES = 256
    # At inference only the classes go on that are among this many best, by the cosine, at some
    # position: faster with many words, for any weights, but approximate. 0: off.
    fgaseg.KEEP_CLASSES = 0
    # Recompute the head's activations in the backward pass: less memory, about a third more time.
    fgaseg.GRADIENT_CHECKPOINTING = False
    fgaseg.GUIDANCE_DIMS = [256, 128]  # channels of CLIP's guidance maps at 2h and 4h
    fgaseg.DECODER_DIMS = [64, 32]  # channels of the decoder at 2h and 4h
    fgaseg.DECODER_GUIDANCE_DIMS = [32, 16]  # of which come from the guidance maps

    # Early rejection: three auxiliary heads drop classes on the way through the decoder.
    fgaseg.FAST = CN()
    fgaseg.FAST.ENABLED = False
    fgaseg.FAST.KEEP = 16  # best classes a position that survive each rejection

    fgaseg.LOSS = CN()
    fgaseg.LOSS.MAIN = "bce"  # "bce" or "ce"
    fgaseg.LOSS.T2P = "bce"  # "bce" or "mse"
    fgaseg.LOSS.T2P_WEIGHT = 0.02  # 0 leaves the T2P branch out of the model
    fgaseg.LOSS.AUX_WEIGHTS = [0.2, 1.0, 1.0]  # of the three auxiliary heads, FAST.ENABLED only
    # "bce": an ignored pixel counts as "none of the classes" (True) or not at all (False).
    fgaseg.LOSS.IGNORED_AS_NEGATIVE = True
    # "ce": a pixel's weight is the share of its class in the batch to the power of minus this;
    # 0.5 brings rare and small things forward, 0 counts all pixels the same.
    fgaseg.LOSS.CLASS_BALANCE = 0.0
    # Train each step on the classes in the batch and random others, this many in all. 0: on all.
    fgaseg.LOSS.SAMPLED_CLASSES = 0
    cfg.MODEL.FGASEG = fgaseg


def _even_groups(channels: list[int]) -> bool:
    """Whether GroupNorm can cut each number of channels into groups of about 16."""
    return all(count % max(1, count // 16) == 0 for count in channels)


_RULES = {
    "VOCABULARY": TEXT,
    "PROMPT_TEMPLATES": NAME,
    "P2T.LAYERS": DEPTH,
    "P2T.HEADS": CHANNELS,
    "P2T.GAMMA": number(),
    "P2T.GAMMA_TRAINABLE": FLAG,
    "LCS.ENABLED": FLAG,
    "LCS.KERNEL_SIZE": such_that(whole(1, 31), lambda size: size % 2 == 1, "odd"),
    "LCS.KERNEL_NORM": FLAG,
    "FUSION": one_of("cat", "add"),
    "HIDDEN_DIM": CHANNELS,
    "GUIDANCE_DIM": CHANNELS,
    "AGGREGATION_LAYERS": DEPTH,
    "ATTENTION_HEADS": CHANNELS,
    "WINDOW_SIZE": whole(2, 2**12),
    "POOLING_TRAIN": items(whole(1, 2**12), 2),
    "POOLING_TEST": items(whole(1, 2**12), 2),
    "MAX_CLASSES": COUNT,
    "KEEP_CLASSES": COUNT_OR_NONE,
    "GRADIENT_CHECKPOINTING": FLAG,
    "GUIDANCE_DIMS": items(CHANNELS, 2),
    "DECODER_DIMS": such_that(
        items(CHANNELS, 2), _even_groups, "which groups of about 16 channels divide"
    ),
    "DECODER_GUIDANCE_DIMS": items(CHANNELS, 2),
    "FAST.ENABLED": FLAG,
    "FAST.KEEP": COUNT,
    "LOSS.MAIN": one_of("bce", "ce"),
    "LOSS.T2P": one_of("bce", "mse"),
    "LOSS.T2P_WEIGHT": NOT_NEGATIVE,
    "LOSS.AUX_WEIGHTS": items(NOT_NEGATIVE, 3),
    "LOSS.IGNORED_AS_NEGATIVE": FLAG,
    "LOSS.CLASS_BALANCE": number(0, 10),
    "LOSS.SAMPLED_CLASSES": COUNT_OR_NONE,
}


def _decoder_has_channels_of_its_own(cfg: CN) -> str | None:
    fga = value_of(cfg, "MODEL.FGASEG")
    whole_widths = (fga.HIDDEN_DIM, fga.DECODER_DIMS[0])
    if all(part < all_ for part, all_ in zip(fga.DECODER_GUIDANCE_DIMS, whole_widths, strict=True)):
        return None
    return (
        "expected MODEL.FGASEG.DECODER_GUIDANCE_DIMS below HIDDEN_DIM and the first of "
        f"DECODER_DIMS, of which they are a part, got {shown(fga.DECODER_GUIDANCE_DIMS)} and "
        f"{shown(whole_widths)}"
    )


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _is_not(other: Any) -> Callable[[Any], bool]:
    return lambda value: value != other


def _inside(*names: str) -> tuple[str, ...]:
    return tuple(f"MODEL.FGASEG.{name}" for name in names)


_HEAD = _inside(
    *("P2T.", "LCS.", "FAST.", "FUSION", "HIDDEN_DIM", "GUIDANCE_DIM", "GUIDANCE_DIMS"),
    *("AGGREGATION_LAYERS", "ATTENTION_HEADS", "WINDOW_SIZE", "POOLING_TRAIN", "POOLING_TEST"),
    *("KEEP_CLASSES", "GRADIENT_CHECKPOINTING", "DECODER_DIMS", "DECODER_GUIDANCE_DIMS"),
    *("LOSS.T2P", "LOSS.T2P_WEIGHT", "LOSS.AUX_WEIGHTS"),
)
_PARTS = (
    Part("MODEL.SEM_SEG_HEAD.NAME", ("MODEL.CLIP.LOGIT_SCALE",), _is_not("FGASegHead")),
    Part("MODEL.SEM_SEG_HEAD.NAME", _HEAD, _is_not("DenseCLIPHead")),
    Part("MODEL.FGASEG.P2T.LAYERS", _inside("P2T.HEADS", "P2T.GAMMA", "P2T.GAMMA_TRAINABLE")),
    Part("MODEL.FGASEG.LCS.ENABLED", _inside("LCS.KERNEL_SIZE", "LCS.KERNEL_NORM", "FUSION")),
    Part("MODEL.FGASEG.FAST.ENABLED", _inside("FAST.KEEP", "LOSS.AUX_WEIGHTS")),
    Part("MODEL.FGASEG.FAST.ENABLED", ("TEST.MAX_VIEWS",), _is(False)),
    Part("MODEL.FGASEG.KEEP_CLASSES", ("TEST.MAX_VIEWS",), _is(0)),
    Part("MODEL.FGASEG.LOSS.T2P_WEIGHT", _inside("LOSS.T2P")),
    Part("MODEL.FGASEG.LOSS.MAIN", _inside("LOSS.IGNORED_AS_NEGATIVE"), _is("bce")),
)
register_method(
    MethodConfig(
        "FGASeg",
        node="MODEL.FGASEG",
        add_keys=add_config,
        rules=_RULES,
        relations=(_decoder_has_channels_of_its_own,),
        parts=_PARTS,
        training_only=_inside(
            *("POOLING_TRAIN", "GRADIENT_CHECKPOINTING", "LOSS.T2P", "LOSS.AUX_WEIGHTS"),
            *("LOSS.CLASS_BALANCE", "LOSS.IGNORED_AS_NEGATIVE", "LOSS.SAMPLED_CLASSES"),
        ),
        kept=_inside("P2T.GAMMA"),
        grouping=_inside("P2T.GAMMA_TRAINABLE"),
        # CAT-Seg's, too.
        published={
            "TEST.SLIDING_WINDOW.ENABLED": True,
            "TEST.SLIDING_WINDOW.CANVAS": [640, 640],
            "TEST.SLIDING_WINDOW.SIZE": [384, 384],
            "TEST.SLIDING_WINDOW.STRIDE": [256, 256],
            "INPUT.MIN_SIZE_TEST": 640,
            "INPUT.MAX_SIZE_TEST": 2560,
            "MODEL.WORDS.PROMPT_TEMPLATES": "single",
            "MODEL.SEM_SEG_HEAD.NAME": "FGASegHead",
            "MODEL.CLIP.DENSE_READING": "fgaseg",
            "MODEL.FGASEG.POOLING_TEST": [1, 1],
        },
        protocol={"pooling": "MODEL.FGASEG.POOLING_TEST"},
    )
)
