"""MGCA's keys: the node MODEL.MGCA. The defaults are those of CC3M."""

from __future__ import annotations

from detectron2.config import CfgNode as CN

from ...config.methods import MethodConfig, Part, register_method
from ...config.rules import number, whole
from ...config.values import COUNT, NOT_NEGATIVE

_LEVELS = ("OBJECT", "REGION", "PIXEL")


def add_config(cfg: CN) -> None:
    """Add MODEL.MGCA, with its defaults, to a configuration."""
    mgca = CN()
    # Training: the model sees this many pictures a side at once, and a caption is matched with the
    # places of its own picture, so that what others show must not reach them. Square numbers of it
    # divide the batch of a process.
    mgca.MOSAIC = 1
    # A text's mask is sigmoid(SHARPNESS cosine + OFFSET) at first; both are learned.
    mgca.MASK = CN()
    mgca.MASK.SHARPNESS = 10.0
    mgca.MASK.OFFSET = -2.5
    # Inference: neighbouring places of a picture become a unit where the mean cosine of their
    # pixels is this or more, and a pixel's score is mixed with its unit's. Above 1: pixels alone.
    # -1: as few units as LEAST says.
    mgca.UNITS = CN()
    mgca.UNITS.SIMILARITY = 0.85
    mgca.UNITS.LEAST = 8

    mgca.LOSS = CN()
    # Texts against what their masks take of pictures, against regions of masks, against pixels.
    mgca.LOSS.OBJECT_WEIGHT = 0.1
    mgca.LOSS.REGION_WEIGHT = 0.1
    mgca.LOSS.PIXEL_WEIGHT = 0.1
    # A mask covers this share of its picture on average, and nothing of others.
    mgca.LOSS.AREA_WEIGHT = 0.4
    mgca.LOSS.AREA = 0.4
    mgca.LOSS.SMOOTH_WEIGHT = 1.0  # total variation of embeddings and masks
    # Regions of a mask, those of them that are least like the text, and negatives of each text.
    mgca.LOSS.REGIONS = 8
    mgca.LOSS.HARD_REGIONS = 4
    mgca.LOSS.REGION_NEGATIVES = 64
    # Pixels of a mask, half of them those least like the text, and negatives of each text.
    mgca.LOSS.PIXELS = 64
    mgca.LOSS.PIXEL_NEGATIVES = 256
    # Pairs of a picture and a text whose masks are in memory together; changes no result.
    mgca.LOSS.PAIRS_AT_ONCE = 4096
    cfg.MODEL.MGCA = mgca


def _inside(*names: str) -> tuple[str, ...]:
    return tuple(f"MODEL.MGCA.{name}" for name in names)


_REGIONS = _inside("LOSS.REGIONS", "LOSS.HARD_REGIONS", "LOSS.REGION_NEGATIVES")
_PIXELS = _inside("LOSS.PIXELS", "LOSS.PIXEL_NEGATIVES")

register_method(
    MethodConfig(
        "MGCA",
        node="MODEL.MGCA",
        add_keys=add_config,
        rules={
            "UNITS.SIMILARITY": number(-1, 2),
            "UNITS.LEAST": COUNT,
            "MOSAIC": whole(1, 16),
            "MASK.SHARPNESS": number(above=0, most=1000),
            "MASK.OFFSET": number(-1000, 1000),
            **{f"LOSS.{level}_WEIGHT": NOT_NEGATIVE for level in (*_LEVELS, "AREA", "SMOOTH")},
            "LOSS.AREA": number(0, 1),
            "LOSS.REGIONS": whole(1, 2**10),
            "LOSS.HARD_REGIONS": whole(1, 2**10),
            "LOSS.REGION_NEGATIVES": COUNT,
            "LOSS.PIXELS": whole(2, 2**16),
            "LOSS.PIXEL_NEGATIVES": COUNT,
            "LOSS.PAIRS_AT_ONCE": COUNT,
        },
        parts=(
            Part(
                "MODEL.META_ARCHITECTURE",
                ("MODEL.SEM_SEG_HEAD.NAME", "MODEL.CLIP.FINETUNE", "MODEL.CLIP.LOGIT_SCALE"),
                lambda name: False,
            ),
            Part("MODEL.MGCA.UNITS.SIMILARITY", _inside("UNITS.LEAST"), lambda value: value <= 1),
            Part("MODEL.MGCA.LOSS.REGION_WEIGHT", _REGIONS),
            Part("MODEL.MGCA.LOSS.PIXEL_WEIGHT", _PIXELS),
            Part("MODEL.MGCA.LOSS.AREA_WEIGHT", _inside("LOSS.AREA")),
        ),
        training_only=_inside("LOSS.", "MOSAIC"),
        trained_on="captions",
        # TCL's protocol, the setting that this is reconstructed on.
        published={
            "MODEL.CLIP.IMAGE_SIZE": [448, 448],
            "MODEL.WORDS.PROMPT_TEMPLATES": "imagenet",
            "INPUT.MIN_SIZE_TEST": 448,
            "INPUT.MAX_SIZE_TEST": 2048,
            "TEST.SLIDING_WINDOW.ENABLED": True,
            "TEST.SLIDING_WINDOW.SHORT_SIDE": 448,
            "TEST.SLIDING_WINDOW.SIZE": [448, 448],
            "TEST.SLIDING_WINDOW.STRIDE": [224, 224],
        },
    )
)
