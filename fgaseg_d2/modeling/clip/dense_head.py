"""The plainest head there is: CLIP's own cosine similarities as logits.

What dense CLIP knows by itself, without any method on top: a baseline, and the way to train a CLIP
of one's own densely before a method is trained on it.
"""

import math
from collections.abc import Mapping

import torch
from detectron2.config import configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn

from ..layers.similarity import cosine_maps


@SEM_SEG_HEADS_REGISTRY.register()
class DenseCLIPHead(nn.Module):
    """Cosine of text and tokens, times a learned scale (CLIP's temperature, initially 1 / 0.07)."""

    joint_classes = False

    @configurable
    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @classmethod
    def from_config(cls, cfg: object, input_shape: Mapping[str, ShapeSpec]) -> dict:
        """The head has no arguments."""
        return {}

    def forward(self, features: Mapping[str, Tensor], text: Tensor) -> dict[str, Tensor]:
        """Features with "dense" B x C x h x w and text T x C -> "logits" B x T x h x w."""
        # CLIP's own bound on the temperature keeps the training stable.
        scale = self.log_scale.clamp(max=math.log(100)).exp()
        return {"logits": scale * cosine_maps(text, features["dense"])}

    def pseudo_masks(self, features: Mapping[str, Tensor], text: Tensor) -> dict[str, Tensor]:
        """Features and text as in `forward` -> "gcs" B x T x h x w, the cosines themselves."""
        return {"gcs": cosine_maps(text, features["dense"])}
