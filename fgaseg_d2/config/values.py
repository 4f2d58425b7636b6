"""Type and range of every configuration key that is read; a method adds those of its own keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from .rules import FLAG, NAME, TEXT, Rule, either, items, just, number, one_of, whole

SIDE = whole(1, 2**16)  # pixels
PAIR = items(SIDE, 2)  # height and width
SHARES = items(number(above=0, most=1), 2)  # of height and width
CHANNELS = whole(1, 2**13)
DEPTH = whole(0, 2**8)
POSITIVE, NOT_NEGATIVE = number(above=0), number(0)
COUNT, COUNT_OR_NONE = whole(1), whole(0)
_DTYPES = ("float16", "bfloat16")
_CROPS = ("absolute", "absolute_range", "relative", "relative_range", "resized")
_DATASET = Rule("a name", lambda value: isinstance(value, str) and value != "")
_DESCRIBED = Rule("{name: ..., ...}", lambda item: isinstance(item, Mapping))


def _is_expected_result(item: Any) -> bool:
    """Whether something is (task, metric, value, tolerance), as Detectron2 compares them."""
    return (
        isinstance(item, (list, tuple))
        and len(item) == 4
        and all(map(NAME.allows, item[:2]))
        and all(map(number().allows, item[2:]))
    )


_MODEL = {
    "META_ARCHITECTURE": NAME,
    "BACKBONE.NAME": NAME,
    "SEM_SEG_HEAD.NAME": NAME,
    "SEM_SEG_HEAD.IGNORE_VALUE": whole(0, 2**16 - 1),
    "PIXEL_MEAN": items(number(), 3),
    "PIXEL_STD": items(POSITIVE, 3),
    "WEIGHTS": TEXT,
    "WEIGHTS_PARTIAL": FLAG,
    "DEVICE": NAME,
    "SCORES": one_of("", "sigmoid", "softmax"),
    "WORDS.VOCABULARY": TEXT,
    "WORDS.PROMPT_TEMPLATES": NAME,
    "CLIP.NAME": NAME,
    "CLIP.PRETRAINED": TEXT,
    "CLIP.DENSE_READING": one_of(
        *("fgaseg", "clip", "maskclip", "sclip", "naclip", "clearclip", "declip", "proxyclip")
    ),
    "CLIP.LOGIT_SCALE": number(above=0, most=100),
    "CLIP.IMAGE_SIZE": either(items(whole(1, 2**13), 2), just([])),
    "CLIP.POSITION_RESIZE": one_of("", "bicubic", "antialias"),
    "CLIP.GUIDANCE_BLOCKS": either(just([]), items(whole(0, 2**8), 2)),
    "CLIP.FINETUNE": one_of("frozen", "prompt", "attention", "full", "scratch"),
    "CLIP.PROMPT_LENGTH": whole(0, 2**10),
    "CLIP.PROMPT_DEPTH": DEPTH,
    "CLIP.GRADIENT_CHECKPOINTING": FLAG,
    "CLIP.TOKENIZER": TEXT,
    "CLIP.TEXT_CACHE_SIZE": whole(0, 2**20),  # MiB
}
_DATASETS = {
    # Which of them a registered dataset may have is said where that is looked up.
    "TRAIN": items(_DATASET),
    "TEST": items(_DATASET),
    "UNSEEN": TEXT,
    "TEST_VOCABULARIES": items(either(TEXT, items(either(TEXT, items(TEXT))))),
    # Each is checked when it is registered.
    "FOLDERS": items(_DESCRIBED),
    "CAPTIONS": items(_DESCRIBED),
    "SEGMENTS": items(_DESCRIBED),
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
    "CROP.AREA": SHARES,
    "CROP.SINGLE_CATEGORY_MAX_AREA": number(above=0, most=1),
}
_SOLVER = {
    "OPTIMIZER": NAME,
    "ADAMW_EPS": POSITIVE,
    "BASE_LR": POSITIVE,
    "BASE_LR_END": NOT_NEGATIVE,
    "LR_MULTIPLIERS.CLIP": NOT_NEGATIVE,
    "LR_MULTIPLIERS.PROMPTS": NOT_NEGATIVE,
    "LR_MULTIPLIERS.SCALARS": NOT_NEGATIVE,
    "LR_MULTIPLIERS.HEAD": NOT_NEGATIVE,
    "CLIP_MULTIPLIER": NOT_NEGATIVE,
    "BIAS_LR_FACTOR": NOT_NEGATIVE,
    "MOMENTUM": number(0, 1),
    "NESTEROV": FLAG,
    "WEIGHT_DECAY": NOT_NEGATIVE,
    "WEIGHT_DECAY_NORM": NOT_NEGATIVE,
    "WEIGHT_DECAY_EMBED": NOT_NEGATIVE,
    "WEIGHT_DECAY_BIAS": either(just(None), NOT_NEGATIVE),
    "LR_SCHEDULER_NAME": NAME,
    "MAX_ITER": COUNT,
    "STEPS": items(COUNT),
    "GAMMA": POSITIVE,
    "NUM_DECAYS": COUNT,
    "POLY_LR_POWER": POSITIVE,
    "WARMUP_FACTOR": NOT_NEGATIVE,
    "WARMUP_ITERS": COUNT_OR_NONE,
    "WARMUP_METHOD": one_of("linear", "constant"),
    "RESCALE_INTERVAL": FLAG,
    "CHECKPOINT_PERIOD": COUNT,
    "IMS_PER_BATCH": COUNT,
    "ACCUMULATE_STEPS": COUNT,
    "REFERENCE_WORLD_SIZE": COUNT_OR_NONE,
    "CLIP_GRADIENTS.ENABLED": FLAG,
    "CLIP_GRADIENTS.CLIP_TYPE": one_of("value", "norm", "full_model"),
    "CLIP_GRADIENTS.CLIP_VALUE": POSITIVE,
    "CLIP_GRADIENTS.NORM_TYPE": either(POSITIVE, just(math.inf)),
    "AMP.ENABLED": FLAG,
    "AMP.DTYPE": one_of(*_DTYPES),
}
_TEST = {
    "EVAL_PERIOD": COUNT_OR_NONE,
    "EXPECTED_RESULTS": items(Rule("(task, metric, value, tolerance)", _is_expected_result)),
    "IMS_PER_BATCH": COUNT,
    "MAX_VIEWS": COUNT,
    "MAX_PICTURES": COUNT_OR_NONE,
    "SLIDING_WINDOW.ENABLED": FLAG,
    "SLIDING_WINDOW.CANVAS": PAIR,
    "SLIDING_WINDOW.SIZE": PAIR,
    "SLIDING_WINDOW.STRIDE": PAIR,
    "SLIDING_WINDOW.SHORT_SIDE": whole(0, 2**16),
    "SLIDING_WINDOW.LONG_SIDE": SIDE,
    "PAMR.ITERATIONS": whole(0, 2**10),
    "PAMR.DILATIONS": items(whole(1, 2**10), empty=False),
    "AUG.ENABLED": FLAG,
    "AUG.MIN_SIZES": items(SIDE, empty=False),
    "AUG.FLIP": FLAG,
    "BOUNDARY_IOU": FLAG,
    "FRAGMENTS": FLAG,
    "OLD_MIOU_RULE": FLAG,
    "BACKGROUND_THRESHOLD": number(0, 1),
    "BACKGROUND_WORDS": TEXT,
    "SEGMENT_VOTE": FLAG,
    "PROPOSALS.KIND": one_of("superpixels", "sam", "given", "file"),
    "PROPOSALS.SUPERPIXELS": whole(1, 2**20),
    "PROPOSALS.COMPACTNESS": POSITIVE,
    "PROPOSALS.SAM": NAME,
    "PROPOSALS.POINTS": whole(1, 2**10),
    "PROPOSALS.IOU": number(0, 1),
    "PROPOSALS.STABILITY": number(0, 1),
    "PROPOSALS.NMS": number(0, 1),
    "PROPOSALS.SMALLEST": COUNT_OR_NONE,
    "PROPOSALS.SAME": number(0, 1),
    "PROPOSALS.FILE": TEXT,
    "PROPOSALS.CACHE": whole(0, 2**20),  # MiB
    "UNSEEN_CLASSES": TEXT,
    "SAVE_PREDICTIONS": FLAG,
    "AMP_DTYPE": one_of("", *_DTYPES),
    "PRECISE_BN.ENABLED": FLAG,
    "PRECISE_BN.NUM_ITER": COUNT,
}
RULES: dict[str, Rule] = {
    f"{prefix}{name}": rule
    for prefix, rules in {
        "MODEL.": _MODEL,
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
