"""Image towers: picture -> dense map in the joint space, levels on the way, global embedding."""

from .clip_vit import CLIPViT
from .loading import build_tokenizer, load_clip, load_image_tower

__all__ = ["CLIPViT", "build_tokenizer", "load_clip", "load_image_tower"]
