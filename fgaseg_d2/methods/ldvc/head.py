"""LDVCHead: CLIP's features and text -> masks of every layer.

Letters: B images, N classes, C joint embedding, h w token grid.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from ...config.key_names import built_from_keys
from ...modeling.layers.linear import Linear
from ...modeling.routes import Routes
from .decoder import MaskLayer, build_layers
from .route_attention import RouteAttention, SelfAttention

# What multiplies CLIP's cosine in the attention's masks that a head starts with: a cosine that is
# higher by 0.2 is a logit that is higher by 3.
START_GAIN = 16.0


@SEM_SEG_HEADS_REGISTRY.register()
class LDVCHead(nn.Module):
    """The adapter, which makes anchors of the classes' text, and the decoder.

    Args:
        dim: C.
        layers: of the decoder, 1 or more.
        heads: attention heads; divides C.
        anchor: "class" or "vision", see MODEL.LDVC.ANCHOR.
        consensus: "route", "full" or "none", see MODEL.LDVC.CONSENSUS.
        window: tokens a side of a window.
        top: windows that a window's tokens attend to.
        mask: "attention" or "dot", see MODEL.LDVC.MASK.
        dropout: in training.
        start: "random" or "clip", see MODEL.LDVC.START.

    Raises:
        ValueError: heads that do not divide C.
    """

    @built_from_keys(heads="MODEL.LDVC.HEADS")
    @configurable
    def __init__(
        self,
        *,
        dim: int,
        layers: int = 3,
        heads: int = 8,
        anchor: str = "class",
        consensus: str = "route",
        window: int = 4,
        top: int = 4,
        mask: str = "attention",
        dropout: float = 0.1,
        start: str = "random",
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"expected `heads` to divide the {dim} channels of CLIP's embedding, got "
                f"{heads}; choose such as {max(h for h in range(1, heads) if dim % h == 0)}"
            )
        kinds = {
            "none": lambda: None,
            "full": lambda: SelfAttention(dim, heads),
            "route": lambda: RouteAttention(dim, heads, window, top),
        }
        self.adapter = Linear(2 * dim, dim)
        self.layers = build_layers(
            layers, mask, kinds[consensus], dim=dim, heads=heads, anchor=anchor, dropout=dropout
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        if start == "clip":
            self.start_as_clip(dim)

    @torch.no_grad()
    def start_as_clip(self, dim: int) -> None:
        """Let anchors begin as the classes' text, sqrt(C) long, and masks as CLIP's cosines.

        The cosines are times START_GAIN with MASK "attention". With "dot" the length of the tokens
        decides: they are times sqrt(C), or 1 where no norm makes tokens longer (anchor "vision"
        without consensus).

        With random weights the masks are near 0 at every pixel, and where a class is can only be
        learned once three small matrices agree; until then a training learns how frequent classes
        are. CLIP's space is there from the start, for classes that training never shows too.
        """
        self.adapter.weight[:, dim:].diagonal().add_(math.sqrt(dim))
        # A layer's norms make tokens sqrt(C) long; without one the first layer's are unit norm.
        length = math.sqrt(dim)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, MaskLayer)
            unit = layer.consensus is None and (number == 0 or layer.anchor == "vision")
            layer.start_as_cosine(START_GAIN, length * (1.0 if unit else length))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """The arguments of the constructor; `input_shape` is the backbone's output_shape()."""
        ldvc = cfg.MODEL.LDVC
        return {
            "dim": input_shape["dense"].channels,
            "layers": ldvc.LAYERS,
            "heads": ldvc.HEADS,
            "anchor": ldvc.ANCHOR,
            "consensus": ldvc.CONSENSUS,
            "window": ldvc.WINDOW_SIZE,
            "top": ldvc.TOP_WINDOWS,
            "mask": ldvc.MASK,
            "dropout": ldvc.DROPOUT,
            "start": ldvc.START,
        }

    def forward(self, features: Mapping[str, Tensor], text: Tensor) -> dict[str, Any]:
        """Make masks.

        Args:
            features: "dense" B x C x h x w and "global" B x C, of any norm.
            text: N x C, unit norm.

        Returns:
            "masks", logits of each layer, B x N x h x w, float32; "logits", those of the last.
        """
        vision = F.normalize(features["dense"].permute(0, 2, 3, 1), dim=-1)
        whole = F.normalize(features["global"], dim=-1)[:, None]
        classes = text.to(whole.dtype).expand(len(whole), -1, -1)
        classes = self.adapter(torch.cat((whole * classes, classes), dim=-1))
        masks = []
        for layer in self.layers:
            vision, classes, mask = layer(vision, classes)
            masks.append(mask)
        return {"masks": masks, "logits": masks[-1]}

    def stages(self) -> dict[str, nn.Module]:
        """The parts that a `StageRecorder` may note; routes B x n x k, layers with their masks."""
        found: dict[str, nn.Module] = {"adapter": self.adapter}
        for number, layer in enumerate(self.layers, start=1):
            if isinstance(layer.consensus, RouteAttention):
                found[f"route{number}"] = layer.consensus.router
            found[f"layer{number}"] = layer
        return found | {"head": self}

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """What was noted of the stages -> "layer1", ..., V x N x h x w in 0..1."""
        return {
            name: torch.cat([masks for _, _, masks in noted]).sigmoid()
            for name, noted in outputs.items()
            if name.startswith("layer")
        }

    @property
    def has_routes(self) -> bool:
        """Whether the tokens attend to each other along routes."""
        return any(isinstance(layer.consensus, RouteAttention) for layer in self.layers)

    def routes(self, outputs: Mapping[str, list[Any]]) -> dict[str, Routes]:
        """What was noted of the stages -> the routes of "layer1", ..., of V views."""
        found = {}
        for number, layer in enumerate(self.layers, start=1):
            if isinstance(layer.consensus, RouteAttention):
                _, _, masks = outputs[f"layer{number}"][0]
                found[f"layer{number}"] = Routes(
                    chosen=torch.cat(outputs[f"route{number}"]),
                    grid=(masks.shape[2], masks.shape[3]),
                    window=layer.consensus.window,
                )
        return found
