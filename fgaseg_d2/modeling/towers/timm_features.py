"""Any other model of timm as an image tower: alone, or as open_clip has it in a CLIP.

ConvNeXt-CLIP, MobileCLIP's FastViT, Swin, ...: whatever timm takes features of.

Letters: B images, C joint embedding, W width of a stage, h w the last stage's resolution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from open_clip.timm_model import TimmModel
from torch import Tensor, nn

from ...wording import plain
from .dense_reading import Grid
from .pyramid import PyramidTower
from .timm_vit import joint_channels, joint_head, trunk_of, without_drop_paths


@BACKBONE_REGISTRY.register()
class TimmFeatures(PyramidTower):
    """A model of timm by its features; see `PyramidTower` for the arguments.

    A cell of the dense map is what the model's own head gives for a picture that looks everywhere
    as there.
    """

    @classmethod
    def takes(cls, visual: Any) -> bool:
        """See `ImageTower`."""
        trunk = trunk_of(visual)
        return hasattr(trunk, "forward_intermediates") and hasattr(trunk, "feature_info")

    @classmethod
    def checked(cls, visual: Any) -> nn.Module:
        """See `ImageTower`."""
        if not cls.takes(visual):
            raise ValueError(
                "expected `visual` with a model that timm takes features of, got "
                f"{type(trunk_of(visual)).__name__}; choose another model."
            )
        without_drop_paths(visual)
        return visual

    @property
    def trunk(self) -> Any:
        """The model of timm."""
        return trunk_of(self.visual)

    @property
    def stage_shapes(self) -> Sequence[ShapeSpec]:
        """See `PyramidTower`."""
        return [
            ShapeSpec(channels=stage["num_chs"], stride=stage["reduction"])
            for stage in self.trunk.feature_info
        ]

    @property
    def stages(self) -> Iterable[nn.Module]:
        """See `PyramidTower`."""
        names = {stage["module"] for stage in self.trunk.feature_info}
        return [self.trunk.get_submodule(name) for name in sorted(names)]

    @property
    def image_size(self) -> tuple[int, int]:
        """See `ImageTower`."""
        if isinstance(self.visual, TimmModel):
            return tuple(self.visual.image_size)
        return tuple(self.trunk.pretrained_cfg["input_size"][1:])

    @property
    def embed_dim(self) -> int:
        """See `ImageTower`."""
        return joint_channels(self.visual, self.trunk.num_features)

    def features(self, images: Tensor, stages: Collection[int]) -> tuple[Tensor, dict[int, Tensor]]:
        """See `PyramidTower`."""
        # Some models stop behind the last one that is asked for.
        numbers = sorted({*stages, len(self.trunk.feature_info) - 1})
        try:
            features, maps = self.trunk.forward_intermediates(images, indices=numbers)
        # Models of one size say so in whatever way breaks first.
        except (AssertionError, RuntimeError) as error:
            height, width = self.image_size
            fits = tuple(images.shape[2:]) == (height, width)
            if fits or isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(
                f"expected pictures of {height} x {width} for this tower, got "
                f"{images.shape[2]} x {images.shape[3]} ({plain(str(error), 80)})"
            ) from error
        if not isinstance(features, Tensor):
            raise ValueError(
                f"expected a model whose features are one map, got a {type(self.trunk).__name__}, "
                "which has several; choose another model."
            )
        return features, dict(zip(numbers, maps, strict=True))

    def project(self, features: Tensor, grid: Grid) -> Tensor:
        """See `PyramidTower`."""
        trunk, images = self.trunk, len(features)
        if features.ndim == 3:
            front = getattr(trunk, "num_prefix_tokens", 0)
            places = features[:, front:]
            if places.shape[1] != grid[0] * grid[1]:
                raise ValueError(
                    f"expected a token for each of {grid[0]} x {grid[1]} places, got "
                    f"{places.shape[1]} of a {type(trunk).__name__}; choose another model."
                )
            # As many equal tokens as any pooling looks at.
            cells = places.flatten(0, 1)[:, None].expand(-1, front + 1, -1)
        elif getattr(trunk, "output_fmt", "NCHW") == "NHWC":
            cells = features.flatten(0, 2)[:, None, None]
        else:
            cells = features.permute(0, 2, 3, 1).flatten(0, 2)[:, :, None, None]
        joint = joint_head(self.visual)(trunk.forward_head(cells))
        return joint.unflatten(0, (images, *grid)).permute(0, 3, 1, 2)

    def pool(self, features: Tensor) -> Tensor:
        """See `PyramidTower`."""
        return joint_head(self.visual)(self.trunk.forward_head(features))

    def recompute(self, enabled: bool) -> None:
        """See `PyramidTower`."""
        if enabled:
            self.trunk.set_grad_checkpointing(True)
