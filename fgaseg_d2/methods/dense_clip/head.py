"""The plainest head there is: CLIP's own cosine similarities as logits."""

import math
from collections.abc import Mapping

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn

from ...config.key_names import built_from_keys
from ...modeling.layers.similarity import cosine_maps
from ...modeling.stages import Stage

# CLIP's own bound on the temperature keeps the training stable.
_MAX_SCALE = 100.0


@SEM_SEG_HEADS_REGISTRY.register()
class DenseCLIPHead(nn.Module):
    """Cosine of text and tokens, times a learned scale.

    Args:
        logit_scale: the initial scale, above 0 and at most 100.
    """

    joint_classes = False
    needs_weights = False

    @built_from_keys(logit_scale="MODEL.CLIP.LOGIT_SCALE")
    @configurable
    def __init__(self, *, logit_scale: float = 1 / 0.07) -> None:
        super().__init__()
        if not 0 < logit_scale <= _MAX_SCALE:
            raise ValueError(
                f"expected `logit_scale` above 0 and at most {_MAX_SCALE:g}, got {logit_scale:g}."
            )
        self.similarity = Stage(cosine_maps)
        self.log_scale = nn.Parameter(torch.tensor(math.log(logit_scale)))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict:
        """The arguments of the constructor, from a configuration."""
        return {"logit_scale": cfg.MODEL.CLIP.LOGIT_SCALE}

    def forward(self, features: Mapping[str, Tensor], text: Tensor) -> dict[str, Tensor]:
        """Features with "dense" B x C x h x w and text T x C -> "logits" B x T x h x w, float32."""
        dense = features["dense"].float()
        # The cosines of a picture differ by hundredths, which half precision hardly resolves.
        with torch.autocast(dense.device.type, enabled=False):
            cosines = self.similarity(text.float(), dense)
        scale = self.log_scale.clamp(max=math.log(_MAX_SCALE)).exp()
        return {"logits": scale * cosines}

    def stages(self) -> dict[str, nn.Module]:
        """The parts that a `StageRecorder` may note."""
        return {"gcs": self.similarity, "head": self}

    def pseudo_masks(self, outputs: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
        """What was noted of the stages -> "gcs" V x T x h x w, the cosines."""
        return {"gcs": torch.cat(outputs["gcs"])}
