"""Type and range of every configuration key that is read: the one place that says them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from .rules import FLAG, NAME, TEXT, Rule, either, items, just, number, one_of, such_that, whole

SIDE = whole(1, 2**16)  # pixels
PAIR = items(SIDE, 2)  # height and width
SHARES = items(number(above=0, most=1), 2)  # of height and width
_CHANNELS = whole(1, 2**13)
_DEPTH = whole(0, 2**8)
_POSITIVE, _NOT_NEGATIVE = number(above=0), number(0)
_COUNT, _COUNT_OR_NONE = whole(1), whole(0)
_DTYPES = ("float16", "bfloat16")
_CROPS = ("absolute", "absolute_range", "relative", "relative_range")
_DATASET = Rule("a name", lambda value: isinstance(value, str) and value != "")


def _is_expected_result(item: Any) -> bool:
    """Whether something is (task, metric, value, tolerance), as Detectron2 compares them."""
    return (
        isinstance(item, (list, tuple))
        and len(item) == 4
        and all(map(NAME.allows, item[:2]))
        and all(map(number().allows, item[2:]))
    )


def _even_groups(channels: list[int]) -> bool:
    """Whether GroupNorm can cut each number of channels into groups of about 16."""
    return all(count % max(1, count // 16) == 0 for count in channels)


_MODEL = {
    "META_ARCHITECTURE": NAME,
    "BACKBONE.NAME": NAME,
    "SEM_SEG_HEAD.NAME": NAME,
    "SEM_SEG_HEAD.IGNORE_VALUE": whole(0, 2**16 - 1),
    "PIXEL_MEAN": items(number(), 3),
    "PIXEL_STD": items(_POSITIVE, 3),
    "WEIGHTS": TEXT,
    "WEIGHTS_PARTIAL": FLAG,
    "DEVICE": NAME,
    "CLIP.NAME": NAME,
    "CLIP.PRETRAINED": TEXT,
    "CLIP.DENSE_READING": one_of("fgaseg", "clip", "maskclip", "sclip", "naclip", "clearclip"),
    "CLIP.LOGIT_SCALE": number(above=0, most=100),
    "CLIP.IMAGE_SIZE": items(whole(1, 2**13), 2),
    "CLIP.GUIDANCE_BLOCKS": either(just([]), items(whole(0, 2**8), 2)),
    "CLIP.FINETUNE": one_of("frozen", "prompt", "attention", "full", "scratch"),
    "CLIP.PROMPT_LENGTH": whole(0, 2**10),
    "CLIP.PROMPT_DEPTH": _DEPTH,
    "CLIP.GRADIENT_CHECKPOINTING": FLAG,
    "CLIP.TEXT_CACHE_SIZE": whole(0, 2**20),  # MiB
}
_FGASEG = {
    "VOCABULARY": TEXT,
    "PROMPT_TEMPLATES": NAME,
    "P2T.LAYERS": _DEPTH,
    "P2T.HEADS": _CHANNELS,
    "P2T.GAMMA": number(),
    "P2T.GAMMA_TRAINABLE": FLAG,
    "LCS.ENABLED": FLAG,
    "LCS.KERNEL_SIZE": such_that(whole(1, 31), lambda size: size % 2 == 1, "odd"),
    "LCS.KERNEL_NORM": FLAG,
    "FUSION": one_of("cat", "add"),
    "HIDDEN_DIM": _CHANNELS,
    "GUIDANCE_DIM": _CHANNELS,
    "AGGREGATION_LAYERS": _DEPTH,
    "ATTENTION_HEADS": _CHANNELS,
    "WINDOW_SIZE": whole(2, 2**12),
    "POOLING_TRAIN": items(whole(1, 2**12), 2),
    "POOLING_TEST": items(whole(1, 2**12), 2),
    "MAX_CLASSES": _COUNT,
    "KEEP_CLASSES": _COUNT_OR_NONE,
    "GRADIENT_CHECKPOINTING": FLAG,
    "GUIDANCE_DIMS": items(_CHANNELS, 2),
    "DECODER_DIMS": such_that(
        items(_CHANNELS, 2), _even_groups, "which groups of about 16 channels divide"
    ),
    "DECODER_GUIDANCE_DIMS": items(_CHANNELS, 2),
    "FAST.ENABLED": FLAG,
    "FAST.KEEP": _COUNT,
    "LOSS.MAIN": one_of("bce", "ce"),
    "LOSS.T2P": one_of("bce", "mse"),
    "LOSS.T2P_WEIGHT": _NOT_NEGATIVE,
    "LOSS.AUX_WEIGHTS": items(_NOT_NEGATIVE, 3),
    "LOSS.IGNORED_AS_NEGATIVE": FLAG,
    "LOSS.CLASS_BALANCE": number(0, 10),
    "LOSS.SAMPLED_CLASSES": _COUNT_OR_NONE,
}
_DATASETS = {
    # Which of them a registered dataset may have is said where that is looked up.
    "TRAIN": items(_DATASET),
    "TEST": items(_DATASET),
    "TEST_VOCABULARIES": items(either(TEXT, items(either(TEXT, items(TEXT))))),
    # Each is checked when it is registered.
    "FOLDERS": items(Rule("{name: ..., ...}", lambda item: isinstance(item, Mapping))),
}
_INPUT = {
    "FORMAT": one_of("RGB", "BGR"),
    "MIN_SIZE_TRAIN": items(SIDE, empty=False),
    "MIN_SIZE_TRAIN_SAMPLING": one_of("choice", "range"),
    "MAX_SIZE_TRAIN": SIDE,
    "MIN_SIZE_TEST": whole(0, 2**16),
    "MAX_SIZE_TEST": SIDE,
    "RANDOM_FLIP": one_of("none", "horizontal", "vertical"),
    "COLOR_AUG_SSD": FLAG,
    "CROP.ENABLED": FLAG,
    "CROP.TYPE": one_of(*_CROPS),
    "CROP.SIZE": either(PAIR, SHARES),
    "CROP.SINGLE_CATEGORY_MAX_AREA": number(above=0, most=1),
}
_SOLVER = {
    "OPTIMIZER": NAME,
    "BASE_LR": _POSITIVE,
    "BASE_LR_END": _NOT_NEGATIVE,
    "CLIP_MULTIPLIER": _NOT_NEGATIVE,
    "BIAS_LR_FACTOR": _NOT_NEGATIVE,
    "MOMENTUM": number(0, 1),
    "NESTEROV": FLAG,
    "WEIGHT_DECAY": _NOT_NEGATIVE,
    "WEIGHT_DECAY_NORM": _NOT_NEGATIVE,
    "WEIGHT_DECAY_EMBED": _NOT_NEGATIVE,
    "WEIGHT_DECAY_BIAS": either(just(None), _NOT_NEGATIVE),
    "LR_SCHEDULER_NAME": NAME,
    "MAX_ITER": _COUNT,
    "STEPS": items(_COUNT),
    "GAMMA": _POSITIVE,
    "NUM_DECAYS": _COUNT,
    "WARMUP_FACTOR": _NOT_NEGATIVE,
    "WARMUP_ITERS": _COUNT_OR_NONE,
    "WARMUP_METHOD": one_of("linear", "constant"),
    "RESCALE_INTERVAL": FLAG,
    "CHECKPOINT_PERIOD": _COUNT,
    "IMS_PER_BATCH": _COUNT,
    "ACCUMULATE_STEPS": _COUNT,
    "REFERENCE_WORLD_SIZE": _COUNT_OR_NONE,
    "CLIP_GRADIENTS.ENABLED": FLAG,
    "CLIP_GRADIENTS.CLIP_TYPE": one_of("value", "norm", "full_model"),
    "CLIP_GRADIENTS.CLIP_VALUE": _POSITIVE,
    "CLIP_GRADIENTS.NORM_TYPE": either(_POSITIVE, just(math.inf)),
    "AMP.ENABLED": FLAG,
    "AMP.DTYPE": one_of(*_DTYPES),
}
_TEST = {
    "EVAL_PERIOD": _COUNT_OR_NONE,
    "EXPECTED_RESULTS": items(Rule("(task, metric, value, tolerance)", _is_expected_result)),
    "IMS_PER_BATCH": _COUNT,
    "MAX_VIEWS": _COUNT,
    "MAX_PICTURES": _COUNT_OR_NONE,
    "SLIDING_WINDOW.ENABLED": FLAG,
    "SLIDING_WINDOW.CANVAS": PAIR,
    "SLIDING_WINDOW.SIZE": PAIR,
    "SLIDING_WINDOW.STRIDE": PAIR,
    "AUG.ENABLED": FLAG,
    "AUG.MIN_SIZES": items(SIDE, empty=False),
    "AUG.FLIP": FLAG,
    "BOUNDARY_IOU": FLAG,
    "OLD_MIOU_RULE": FLAG,
    "UNSEEN_CLASSES": TEXT,
    "SAVE_PREDICTIONS": FLAG,
    "AMP_DTYPE": one_of("", *_DTYPES),
    "PRECISE_BN.ENABLED": FLAG,
    "PRECISE_BN.NUM_ITER": _COUNT,
}
RULES: dict[str, Rule] = {
    f"{prefix}{name}": rule
    for prefix, rules in {
        "MODEL.": _MODEL,
        "MODEL.FGASEG.": _FGASEG,
        "DATASETS.": _DATASETS,
        "INPUT.": _INPUT,
        "SOLVER.": _SOLVER,
        "TEST.": _TEST,
        "": {
            "DATALOADER.NUM_WORKERS": whole(0, 2**10),
            "DATALOADER.SAMPLER_TRAIN": NAME,
            "OUTPUT_DIR": NAME,
            # NumPy's generator takes 32 bits, and each process adds its rank.
            "SEED": whole(-(2**31), 2**32 - 2**16),
            "CUDNN_BENCHMARK": FLAG,
            "VERSION": just(2),
        },
    }.items()
    for name, rule in rules.items()
}


def value_of(cfg: Mapping, key: str) -> Any:
    """Look a key such as "MODEL.CLIP.NAME" up.

    Raises:
        KeyError: there is none.
    """
    return reduce(lambda node, part: node[part], key.split("."), cfg)


def leaves(node: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of a configuration, such as "MODEL.CLIP.NAME", with their values."""
    for key, value in node.items():
        if isinstance(value, dict) and (value or not prefix):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
