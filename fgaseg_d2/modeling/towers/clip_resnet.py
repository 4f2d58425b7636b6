"""OpenAI's ResNets as image towers, by way of open_clip.

Letters: B images, C joint embedding, W width of a stage, h w the last stage's resolution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers.position import resize_grid_embedding
from .dense_reading import Grid
from .pyramid import PyramidTower


@BACKBONE_REGISTRY.register()
class CLIPResNet(PyramidTower):
    """CLIP's ResNet; see `PyramidTower` for the arguments.

    The dense map is the value path of its attention pooling, as in MaskCLIP (arXiv 2112.01071).
    """

    @classmethod
    def takes(cls, visual: Any) -> bool:
        """See `ImageTower`."""
        return isinstance(visual, ModifiedResNet)

    @classmethod
    def checked(cls, visual: Any) -> nn.Module:
        """See `ImageTower`."""
        if not cls.takes(visual):
            raise ValueError(
                f"expected `visual` to be a ResNet of CLIP, got {type(visual).__name__}; choose a "
                "RN* model, or the backbone build_image_tower for any."
            )
        return visual

    @property
    def stages(self) -> Iterable[Any]:
        """See `PyramidTower`."""
        visual = self.visual
        return (visual.layer1, visual.layer2, visual.layer3, visual.layer4)

    @property
    def stage_shapes(self) -> Sequence[ShapeSpec]:
        """See `PyramidTower`."""
        widths = [stage[-1].conv3.out_channels for stage in self.stages]
        return [
            ShapeSpec(channels=width, stride=stride)
            for width, stride in zip(widths, (4, 8, 16, 32), strict=True)
        ]

    @property
    def image_size(self) -> tuple[int, int]:
        """See `ImageTower`."""
        size = self.visual.image_size
        return (size, size) if isinstance(size, int) else tuple(size)

    @property
    def embed_dim(self) -> int:
        """See `ImageTower`."""
        return self.visual.attnpool.c_proj.out_features

    def features(self, images: Tensor, stages: Collection[int]) -> tuple[Tensor, dict[int, Tensor]]:
        """See `PyramidTower`."""
        x, maps = self.visual.stem(images), {}
        for number, stage in enumerate(self.stages):
            recomputed = self.recomputed and self.training
            x = checkpoint(stage, x, use_reentrant=False) if recomputed else stage(x)
            if number in stages:
                maps[number] = x
        return x, maps

    def without_effect(self) -> Iterator[nn.Parameter]:
        """See `ImageTower`: the dense map does not depend on what the attention pooling asks."""
        pool = self.visual.attnpool
        yield pool.positional_embedding
        yield from (*pool.q_proj.parameters(), *pool.k_proj.parameters())

    def project(self, features: Tensor, grid: Grid) -> Tensor:
        """See `PyramidTower`."""
        pool = self.visual.attnpool
        return pool.c_proj(pool.v_proj(features.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)

    def pool(self, features: Tensor) -> Tensor:
        """See `PyramidTower`; places are resized, which open_clip does not."""
        pool = self.visual.attnpool
        side = round((len(pool.positional_embedding) - 1) ** 0.5)
        grid = (features.shape[2], features.shape[3])
        places = resize_grid_embedding(pool.positional_embedding, (side, side), grid)
        return torch.func.functional_call(pool, {"positional_embedding": places}, (features,))

    def recompute(self, enabled: bool) -> None:
        """See `PyramidTower`."""
        self.recomputed = enabled
