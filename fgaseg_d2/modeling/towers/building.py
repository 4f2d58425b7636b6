"""A configuration -> the image tower that MODEL.CLIP.NAME names, of the class that suits it."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY

from ...config.key_names import keys_of
from .base import ImageTower
from .clip_resnet import CLIPResNet
from .clip_vit import CLIPViT
from .loading import shared_clip
from .timm_features import TimmFeatures
from .timm_vit import TimmViT


@BACKBONE_REGISTRY.register()
def build_image_tower(cfg: CfgNode, input_shape: ShapeSpec | None = None) -> ImageTower:
    """The image tower of a configuration.

    Args:
        cfg: complete configuration.
        input_shape: part of Detectron2's signature.

    Raises:
        ValueError: MODEL.CLIP.NAME is no model that can be a tower.
    """
    keys = {"name": "MODEL.CLIP.NAME", "pretrained": "MODEL.CLIP.PRETRAINED"}
    with shared_clip(), keys_of(**keys):
        # Loaded once: the class that it makes asks for the same again.
        visual = ImageTower.from_config(cfg)["visual"]
        return tower_class(visual)(cfg, input_shape)


def tower_class(visual: Any) -> type[ImageTower]:
    """The class of towers that an image tower of open_clip or timm can be one of.

    Raises:
        ValueError: none of them.
    """
    for tower in (CLIPViT, CLIPResNet, TimmViT, TimmFeatures):
        if tower.takes(visual):
            return tower
    raise ValueError(
        "expected `name` to be a CLIP of open_clip, or a model of timm that gives features, got "
        f"one with an image tower of type {type(visual).__name__}; choose such as ViT-B-16, "
        "EVA02-B-16, ViT-B-16-SigLIP2, PE-Core-B-16, convnext_base, or "
        "vit_base_patch14_reg4_dinov2."
    )
