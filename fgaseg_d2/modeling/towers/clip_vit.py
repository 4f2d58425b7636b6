"""CLIP's image tower as a Detectron2 backbone.

Letters: B images, C joint embedding, W width of the tower, h w token grid, L = 1 + h w tokens.
"""

from collections.abc import Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers.position import resize_grid_embedding
from .dense_reading import find_reading
from .loading import load_image_tower, needed_pretrained


@BACKBONE_REGISTRY.register()
class CLIPViT(Backbone):
    """CLIP's vision transformer, read densely: one joint embedding for every token.

    Args:
        visual: the image tower of an open_clip model, with split q, k, v: `load_image_tower`.
        dense_reading: how the last block is run, see MODEL.CLIP.DENSE_READING.
        guidance_blocks: the two blocks, counted from 0, whose outputs are returned as guidance
            maps; empty for one third and two thirds of the depth.
        prompt_length: learned deep prompt tokens a block, 0 for none.
        prompt_depth: the first blocks that get prompt tokens.
        gradient_checkpointing: recompute the blocks' activations in the backward pass.
    """

    @configurable
    def __init__(
        self,
        visual: VisionTransformer,
        *,
        dense_reading: str = "fgaseg",
        guidance_blocks: Sequence[int] = (),
        prompt_length: int = 0,
        prompt_depth: int = 0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None:
            raise ValueError(
                "expected MODEL.CLIP.NAME to be a CLIP with open_clip's plain vision transformer, "
                f"got an image tower of type {type(visual).__name__} or with attention pooling; "
                "choose a ViT-* model."
            )
        self.visual = visual
        self.dense_reading = find_reading(dense_reading)
        depth = len(visual.transformer.resblocks)
        self.guidance_blocks = tuple(guidance_blocks) or (depth // 3 - 1, 2 * depth // 3 - 1)
        ascending = sorted(self.guidance_blocks)
        if (
            len(ascending) != 2
            or list(self.guidance_blocks) != ascending
            or not (ascending[0] >= 0 and ascending[1] < depth - 1)
        ):
            raise ValueError(
                "expected MODEL.CLIP.GUIDANCE_BLOCKS to be two ascending block numbers below "
                f"{depth - 1}, got {list(self.guidance_blocks)}."
            )
        self.gradient_checkpointing = gradient_checkpointing
        width = visual.conv1.out_channels
        self.prompt_tokens = None
        if prompt_length and prompt_depth:
            if prompt_depth > depth:
                raise ValueError(
                    f"expected MODEL.CLIP.PROMPT_DEPTH of at most {depth}, got {prompt_depth}."
                )
            self.prompt_tokens = nn.Parameter(torch.empty(prompt_depth, prompt_length, width))
            nn.init.xavier_uniform_(self.prompt_tokens)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict:
        """The arguments of the constructor, from a configuration."""
        clip_cfg, weights = cfg.MODEL.CLIP, cfg.MODEL.WEIGHTS
        pretrained = needed_pretrained(clip_cfg.PRETRAINED, weights, cfg.MODEL.WEIGHTS_PARTIAL)
        return {
            "visual": load_image_tower(clip_cfg.NAME, pretrained),
            "dense_reading": clip_cfg.DENSE_READING,
            "guidance_blocks": clip_cfg.GUIDANCE_BLOCKS,
            "prompt_length": clip_cfg.PROMPT_LENGTH,
            "prompt_depth": clip_cfg.PROMPT_DEPTH,
            "gradient_checkpointing": clip_cfg.GRADIENT_CHECKPOINTING,
        }

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input must be multiples of this: the patch size, in pixels."""
        return self.visual.patch_size[0]

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of the dense map and of the two guidance maps."""
        width, stride = self.visual.conv1.out_channels, self.size_divisibility
        return {
            "dense": ShapeSpec(channels=self.visual.proj.shape[1], stride=stride),
            "guidance_early": ShapeSpec(channels=width, stride=stride),
            "guidance_late": ShapeSpec(channels=width, stride=stride),
        }

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Embed pictures.

        Args:
            images: B x 3 x H x W, normalised with CLIP's mean and standard deviation, H and W
                multiples of the patch size.

        Returns:
            "dense": B x C x h x w, not normalised; "guidance_early" and "guidance_late":
            B x W x h x w.
        """
        tokens, grid = self._embed(images)
        maps = {}
        *blocks, last = self.visual.transformer.resblocks
        for index, block in enumerate(blocks):
            tokens = self._run(block, self._with_prompts(tokens, index))
            for name, wanted in zip(("early", "late"), self.guidance_blocks, strict=True):
                if index == wanted:
                    maps[f"guidance_{name}"] = _to_map(self._without_prompts(tokens), grid)
        tokens = self.dense_reading(last, self._with_prompts(tokens, len(blocks)), grid)
        tokens = self._without_prompts(tokens)
        maps["dense"] = _to_map(self.visual.ln_post(tokens) @ self.visual.proj, grid)
        return maps

    def embed_whole(self, images: Tensor) -> Tensor:
        """Embed each picture as a whole, as CLIP does: B x 3 x H x W -> B x C, not normalised."""
        tokens, _ = self._embed(images)
        for index, block in enumerate(self.visual.transformer.resblocks):
            tokens = self._run(block, self._with_prompts(tokens, index))
        return self.visual.ln_post(tokens[:, 0]) @ self.visual.proj

    def _embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patches -> B x L x W tokens, CLS first, and the grid's height and width."""
        visual = self.visual
        # A model may have been put into half or double precision.
        patches = visual.conv1(images.to(visual.conv1.weight.dtype))
        grid = tuple(patches.shape[-2:])
        tokens = patches.flatten(2).transpose(1, 2)
        cls = visual.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
        position = resize_grid_embedding(visual.positional_embedding, visual.grid_size, grid)
        tokens = torch.cat((cls, tokens), dim=1) + position.to(tokens.dtype)
        return visual.ln_pre(tokens), grid

    def _run(self, block: nn.Module, tokens: Tensor) -> Tensor:
        if self.gradient_checkpointing and self.training:
            return checkpoint(block, tokens, use_reentrant=False)
        return block(tokens)

    def _with_prompts(self, tokens: Tensor, index: int) -> Tensor:
        """Put block `index`'s prompt tokens behind CLS, in place of the block's before."""
        if self.prompt_tokens is None or index >= len(self.prompt_tokens):
            return tokens
        prompts = self.prompt_tokens[index].to(tokens.dtype).expand(len(tokens), -1, -1)
        skip = 1 if index == 0 else 1 + prompts.shape[1]
        return torch.cat((tokens[:, :1], prompts, tokens[:, skip:]), dim=1)

    def _without_prompts(self, tokens: Tensor) -> Tensor:
        if self.prompt_tokens is None:
            return tokens
        return torch.cat((tokens[:, :1], tokens[:, 1 + self.prompt_tokens.shape[1] :]), dim=1)


def _to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """B x L x W with CLS -> B x W x h x w."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
