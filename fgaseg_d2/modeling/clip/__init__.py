"""CLIP's two towers as Detectron2 modules; the only folder that knows open_clip."""

from .backbone import CLIPViT
from .dense_head import DenseCLIPHead
from .loading import build_tokenizer, load_clip, load_image_tower
from .pretraining import CLIPPretraining
from .templates import resolve_templates
from .text_encoder import CLIPTextEncoder

__all__ = [
    "CLIPPretraining",
    "CLIPTextEncoder",
    "CLIPViT",
    "DenseCLIPHead",
    "build_tokenizer",
    "load_clip",
    "load_image_tower",
    "resolve_templates",
]
