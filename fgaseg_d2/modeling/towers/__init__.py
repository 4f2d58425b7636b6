"""Image towers: picture -> dense map in the joint space, levels on the way, global embedding."""

from .base import ImageTower
from .building import build_image_tower, tower_class
from .clip_resnet import CLIPResNet
from .clip_vit import CLIPViT
from .loading import load_clip, load_image_tower
from .timm_features import TimmFeatures
from .timm_vit import TimmViT
from .tokenizers import build_tokenizer

__all__ = [
    "CLIPResNet",
    "CLIPViT",
    "ImageTower",
    "TimmFeatures",
    "TimmViT",
    "build_image_tower",
    "build_tokenizer",
    "load_clip",
    "load_image_tower",
    "tower_class",
]
