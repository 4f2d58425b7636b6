"""CLIP's two towers as Detectron2 modules; the only folder that knows open_clip."""

from .backbone import CLIPViT
from .dense_head import DenseCLIPHead
from .pretraining import CLIPPretraining
from .text_encoder import CLIPTextEncoder

__all__ = ["CLIPPretraining", "CLIPTextEncoder", "CLIPViT", "DenseCLIPHead"]
