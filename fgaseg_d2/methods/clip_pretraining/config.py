"""CLIPPretraining's keys: the node MODEL.CLIP_PRETRAINING."""

from detectron2.config import CfgNode as CN

from ...config.methods import MethodConfig, Part, register_method
from ...config.rules import number, one_of, whole


def add_config(cfg: CN) -> None:
    """Add MODEL.CLIP_PRETRAINING, with its defaults, to a configuration."""
    pretraining = CN()
    # What a caption is compared with: "global" (the picture's embedding, as CLIP was trained) or
    # "tokens" (the dense map: a smooth maximum over all places, so that each place says what is
    # there and not what the whole picture shows).
    pretraining.MATCH = "global"
    # "tokens" only: how much sharper the smooth maximum is than the softmax over pairs. With 1, a
    # little everywhere counts as much as a lot in one place.
    pretraining.SHARPNESS = 1.0
    # "tokens" only: the tower sees this many pictures a side at once, and a caption is matched with
    # the places of its own picture, so that what others show must not reach them. Square numbers of
    # it divide the batch of a process.
    pretraining.MOSAIC = 1
    cfg.MODEL.CLIP_PRETRAINING = pretraining


def _reading(cfg: CN) -> str | None:
    """Tokens are trained as they come out of the last block."""
    reading = cfg.MODEL.CLIP.DENSE_READING
    if cfg.MODEL.CLIP_PRETRAINING.MATCH == "global" or reading == "clip":
        return None
    return (
        "expected MODEL.CLIP.DENSE_READING 'clip' with MODEL.CLIP_PRETRAINING.MATCH 'tokens', got "
        f"'{reading}'"
    )


_UNREAD = ("MODEL.SEM_SEG_HEAD.NAME", "MODEL.CLIP.FINETUNE", "MODEL.CLIP.LOGIT_SCALE")

register_method(
    MethodConfig(
        "CLIPPretraining",
        node="MODEL.CLIP_PRETRAINING",
        add_keys=add_config,
        rules={
            "MATCH": one_of("global", "tokens"),
            "SHARPNESS": number(0.01, 1000),
            "MOSAIC": whole(1, 16),
        },
        relations=(_reading,),
        parts=(
            Part(
                "MODEL.META_ARCHITECTURE",
                (*_UNREAD, "MODEL.SCORES", "TEST.SLIDING_WINDOW."),
                lambda name: False,
            ),
            Part(
                "MODEL.CLIP_PRETRAINING.MATCH",
                ("MODEL.CLIP_PRETRAINING.SHARPNESS", "MODEL.CLIP_PRETRAINING.MOSAIC"),
                lambda match: match == "tokens",
            ),
        ),
        training_only=("MODEL.CLIP_PRETRAINING.",),
    )
)
