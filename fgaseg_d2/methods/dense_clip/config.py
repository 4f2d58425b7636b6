"""What DenseCLIP reads of the configuration; it has no keys of its own."""

from ...config.methods import MethodConfig, Part, register_method

register_method(
    MethodConfig(
        "DenseCLIP",
        parts=(Part("MODEL.META_ARCHITECTURE", ("MODEL.SEM_SEG_HEAD.NAME",), lambda name: False),),
        trained_on="nothing",
        published={"MODEL.META_ARCHITECTURE": "FGASeg", "MODEL.CLIP.DENSE_READING": "fgaseg"},
    )
)
