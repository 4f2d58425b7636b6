"""Image towers of stages, each at its own resolution: ConvNeXt, FastViT, CLIP's ResNets, ...

Letters: B images, C joint embedding, W width of a stage, h w the last stage's resolution.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ...config.key_names import built_from_keys
from .base import (
    DENSE,
    GLOBAL,
    GUIDANCE,
    ImageTower,
    check_levels,
    check_training_mode,
    guidance_levels,
    train_blocks,
)
from .dense_reading import Grid, find_reading

logger = logging.getLogger(__name__)


class PyramidTower(ImageTower):
    """A tower of stages: the last one, cell by cell in the joint space, is the dense map.

    There is one way to read it, and no token that prompts could join.

    Args:
        visual: the image tower of a library: `load_image_tower`.
        levels: names of further outputs and the stages, counted from 0, that they leave, beside
            "res2" at stride 4, "res3" at 8, "res4" at 16 and "res5" at 32, as Detectron2 calls
            them, so far as there are such stages. None: "guidance_early" of the stage at twice the
            dense map's resolution and "guidance_late" of that at four times; of thirds of the depth
            where all stages have one resolution.
        gradient_checkpointing: recompute the stages' activations in the backward pass.

    Raises:
        ValueError: levels beyond the stages.
    """

    @built_from_keys(
        name="MODEL.CLIP.NAME",
        visual="MODEL.CLIP.NAME",
        pretrained="MODEL.CLIP.PRETRAINED",
        dense_reading="MODEL.CLIP.DENSE_READING",
        levels="MODEL.CLIP.GUIDANCE_BLOCKS",
    )
    @configurable
    def __init__(
        self,
        visual: Any,
        *,
        levels: Mapping[str, int] | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.visual = self.checked(visual)
        shapes = self.stage_shapes
        if levels is None:
            levels = _guiding(shapes)
        check_levels(levels, len(shapes), "stages")
        self.levels = _by_stride(shapes) | dict(levels)
        self.recompute(gradient_checkpointing)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        clip_cfg = cfg.MODEL.CLIP
        find_reading(clip_cfg.DENSE_READING)
        levels = guidance_levels(clip_cfg.GUIDANCE_BLOCKS)
        if levels is not None:
            # The later stage is the coarser one, which the decoder meets first.
            levels = dict(zip(GUIDANCE, reversed(levels.values()), strict=True))
        return super().from_config(cfg) | {
            "levels": levels,
            "gradient_checkpointing": clip_cfg.GRADIENT_CHECKPOINTING,
        }

    @property
    @abstractmethod
    def stage_shapes(self) -> Sequence[ShapeSpec]:
        """Width and stride of each stage."""

    @property
    @abstractmethod
    def stages(self) -> Iterable[nn.Module]:
        """The modules that training mode "full" trains."""

    @abstractmethod
    def features(self, images: Tensor, stages: Collection[int]) -> tuple[Tensor, dict[int, Tensor]]:
        """What the head takes, and the outputs of some stages, B x W x ... x ... by number."""

    @abstractmethod
    def project(self, features: Tensor, grid: Grid) -> Tensor:
        """What the head takes -> joint space, each of the h x w cells by itself: B x C x h x w."""

    @abstractmethod
    def pool(self, features: Tensor) -> Tensor:
        """What the head takes -> the global embedding B x C."""

    @abstractmethod
    def recompute(self, enabled: bool) -> None:
        """Switch gradient checkpointing."""

    def forward(
        self,
        images: Tensor,
        *,
        outputs: Collection[str] | None = None,
        prompts: Sequence[Tensor] | None = None,
        final: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """See `ImageTower`; there are neither prompts nor anything before the head.

        Raises:
            ValueError: prompts, or `final`.
        """
        if prompts is not None or final is not None:
            raise self._without_tokens()
        wanted = {DENSE, *self.levels} if outputs is None else set(outputs)
        levels = {name: stage for name, stage in self.levels.items() if name in wanted}
        images = images.to(next(self.visual.parameters()).dtype)
        features, stages = self.features(images, set(levels.values()))
        maps = {name: stages[stage] for name, stage in levels.items()}
        if DENSE in wanted:
            stride = self.output_shape()[DENSE].stride
            grid = (images.shape[2] // stride, images.shape[3] // stride)
            maps[DENSE] = self.project(features, grid)
        if GLOBAL in wanted:
            maps[GLOBAL] = self.pool(features)
        return maps

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input must be multiples of this: the largest stride."""
        return max(shape.stride for shape in self.stage_shapes)

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of the dense map and of the levels."""
        shapes = self.stage_shapes
        dense = ShapeSpec(channels=self.embed_dim, stride=shapes[-1].stride)
        return {DENSE: dense} | {name: shapes[stage] for name, stage in self.levels.items()}

    def train_only(self, mode: str) -> None:
        """See `ImageTower`; "attention" trains nothing where q and v have no weights of their own.

        Raises:
            ValueError: an unknown mode, or "prompt".
        """
        check_training_mode(mode)
        if mode == "prompt":
            raise self._without_tokens()
        self.requires_grad_(mode == "scratch")
        if mode == "full":
            train_blocks(self.stages, mode)
        elif mode == "attention":
            modules = [module for stage in self.stages for module in stage.modules()]
            attention = [module for module in modules if hasattr(module, "q_proj")]
            train_blocks(attention, mode)
            if not attention:
                logger.warning(
                    "The image tower (%s) has no attention whose queries and values have weights "
                    "of their own, so that nothing of it trains in the mode 'attention'; 'full' "
                    "trains its stages",
                    type(getattr(self, "trunk", self.visual)).__name__,
                )
        self._freeze_without_effect()


def _by_stride(shapes: Sequence[ShapeSpec]) -> dict[str, int]:
    """Detectron2's names of levels, and the last stage at the stride of each."""
    strides = {f"res{power}": 2**power for power in range(2, 6)}
    stages = {shape.stride: index for index, shape in enumerate(shapes)}
    return {name: stages[stride] for name, stride in strides.items() if stride in stages}


def _guiding(shapes: Sequence[ShapeSpec]) -> dict[str, int]:
    """The stages that guide a decoder to twice and four times the last one's resolution."""
    last = shapes[-1].stride
    found = []
    for factor, third in zip((2, 4), (1, 2), strict=True):
        at = [i for i, shape in enumerate(shapes) if shape.stride * factor == last]
        found.append(at[-1] if at else max(third * len(shapes) // 3 - 1, 0))
    return dict(zip(GUIDANCE, found, strict=True))
