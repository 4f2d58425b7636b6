"""What CLIPPretraining reads of the configuration; it has no keys of its own."""

from ...config.methods import MethodConfig, Part, register_method

_UNREAD = ("MODEL.SEM_SEG_HEAD.NAME", "MODEL.CLIP.FINETUNE", "MODEL.CLIP.LOGIT_SCALE")

register_method(
    MethodConfig(
        "CLIPPretraining",
        parts=(
            Part(
                "MODEL.META_ARCHITECTURE",
                (*_UNREAD, "MODEL.SCORES", "TEST.SLIDING_WINDOW."),
                lambda name: False,
            ),
        ),
    )
)
