"""open_clip's plain vision transformer as an image tower.

Letters: B images, C joint embedding, W width of the tower, h w token grid, L = 1 + h w tokens.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import stochastic_depth

from ...config.key_names import built_from_keys
from ..layers.position import resize_grid_embedding
from .base import DENSE, GLOBAL, ImageTower, check_training_mode
from .dense_reading import find_reading
from .loading import load_image_tower, needed_pretrained


@BACKBONE_REGISTRY.register()
class CLIPViT(ImageTower):
    """CLIP's vision transformer, read densely: one joint embedding for every token.

    Args:
        visual: the image tower of an open_clip model, with split q, k, v: `load_image_tower`.
        dense_reading: how the last block is run, a name in `dense_reading.READINGS`.
        levels: names of further outputs and the blocks, counted from 0, that they leave. None:
            "guidance_early" and "guidance_late" after one third and two thirds of the depth.
        prompt_length: learned deep prompt tokens a block, 0 for none.
        prompt_depth: the first blocks that get prompt tokens.
        gradient_checkpointing: recompute the blocks' activations in the backward pass.
    """

    @built_from_keys(
        name="MODEL.CLIP.NAME",
        visual="MODEL.CLIP.NAME",
        pretrained="MODEL.CLIP.PRETRAINED",
        dense_reading="MODEL.CLIP.DENSE_READING",
        levels="MODEL.CLIP.GUIDANCE_BLOCKS",
        prompt_depth="MODEL.CLIP.PROMPT_DEPTH",
    )
    @configurable
    def __init__(
        self,
        visual: VisionTransformer,
        *,
        dense_reading: str = "fgaseg",
        levels: Mapping[str, int] | None = None,
        prompt_length: int = 0,
        prompt_depth: int = 0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None:
            raise ValueError(
                "expected `visual` to be of a CLIP with open_clip's plain vision transformer, "
                f"got an image tower of type {type(visual).__name__} or with attention pooling; "
                "choose a ViT-* model."
            )
        if visual.pool_type not in ("tok", "avg"):
            raise ValueError(
                "expected `visual` to pool by its CLS token or by the mean of its tokens, got "
                f"pool_type '{visual.pool_type}'; choose a ViT-* model."
            )
        self.visual = visual
        self.dense_reading = find_reading(dense_reading)
        depth, width = len(visual.transformer.resblocks), visual.conv1.out_channels
        if levels is None:
            levels = {"guidance_early": depth // 3 - 1, "guidance_late": 2 * depth // 3 - 1}
        if any(not 0 <= block < depth for block in levels.values()):
            raise ValueError(
                f"expected `levels` to be blocks from 0 to {depth - 1} of this tower, got "
                f"{dict(levels)}."
            )
        self.levels = dict(levels)
        self.gradient_checkpointing = gradient_checkpointing
        self.prompt_tokens = None
        if prompt_length and prompt_depth:
            if prompt_depth > depth:
                raise ValueError(f"expected `prompt_depth` of at most {depth}, got {prompt_depth}.")
            self.prompt_tokens = nn.Parameter(torch.empty(prompt_depth, prompt_length, width))
            nn.init.xavier_uniform_(self.prompt_tokens)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict:
        """The arguments of the constructor, from a configuration."""
        clip_cfg, weights = cfg.MODEL.CLIP, cfg.MODEL.WEIGHTS
        pretrained = needed_pretrained(clip_cfg.PRETRAINED, weights, cfg.MODEL.WEIGHTS_PARTIAL)
        blocks = list(clip_cfg.GUIDANCE_BLOCKS)
        if blocks and (len(blocks) != 2 or blocks != sorted(blocks)):
            raise ValueError(
                "expected MODEL.CLIP.GUIDANCE_BLOCKS to be two ascending block numbers, got "
                f"{blocks}."
            )
        names = ("guidance_early", "guidance_late")
        return {
            "visual": load_image_tower(clip_cfg.NAME, pretrained),
            "dense_reading": clip_cfg.DENSE_READING,
            "levels": dict(zip(names, blocks, strict=True)) if blocks else None,
            "prompt_length": clip_cfg.PROMPT_LENGTH,
            "prompt_depth": clip_cfg.PROMPT_DEPTH,
            "gradient_checkpointing": clip_cfg.GRADIENT_CHECKPOINTING,
        }

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input must be multiples of this: the patch size, in pixels."""
        return self.visual.patch_size[0]

    @property
    def token_shape(self) -> tuple[int, int]:
        """See `ImageTower`."""
        return len(self.visual.transformer.resblocks), self.visual.conv1.out_channels

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of the dense map and of the levels."""
        width, stride = self.visual.conv1.out_channels, self.size_divisibility
        dense = ShapeSpec(channels=self.visual.proj.shape[1], stride=stride)
        return {DENSE: dense} | {
            name: ShapeSpec(channels=width, stride=stride) for name in self.levels
        }

    def forward(
        self,
        images: Tensor,
        *,
        outputs: Collection[str] | None = None,
        prompts: Sequence[Tensor] | None = None,
        final: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """See `ImageTower`."""
        wanted = {DENSE, *self.levels} if outputs is None else set(outputs)
        if prompts is None and self.prompt_tokens is not None:
            prompts = tuple(self.prompt_tokens)
        tokens, grid = self._embed(images)
        length = tokens.shape[1]
        maps = {}
        *blocks, last = self.visual.transformer.resblocks
        for index, block in enumerate(blocks):
            tokens = self._run(block, _with_prompts(tokens, prompts, index, length))
            for name in wanted & self.levels.keys():
                if self.levels[name] == index:
                    maps[name] = _to_map(_without_prompts(tokens, length), grid)
        tokens = _with_prompts(tokens, prompts, len(blocks), length)
        as_trained, trained = self.dense_reading.as_trained, None
        ending = [name for name in wanted & self.levels.keys() if self.levels[name] == len(blocks)]
        if ending or (DENSE in wanted and as_trained):
            trained = _without_prompts(self._run(last, tokens), length)
            maps |= {name: _to_map(trained, grid) for name in ending}
        if DENSE in wanted:
            read = trained
            if not as_trained or read is None:
                read = _without_prompts(self.dense_reading(last, tokens, grid), length)
            maps[DENSE] = _to_map(self._embedding(read, final), grid)
        if GLOBAL in wanted:
            maps[GLOBAL] = self._pooled(tokens, length, trained, final)
        return maps

    def drop_paths(self, rate: float) -> None:
        """See `ImageTower`."""
        blocks: Any = self.visual.transformer.resblocks
        for block, share in zip(blocks, torch.linspace(0, rate, len(blocks)), strict=True):
            for branch in (block.ls_1, block.ls_2):
                if share:
                    # A hook, because a module around the branch's scale would rename it.
                    branch.register_forward_hook(partial(_drop, rate=share.item()))

    def train_only(self, mode: str) -> None:
        """See `ImageTower`."""
        check_training_mode(mode)
        if mode == "prompt" and self.prompt_tokens is None:
            raise ValueError(
                "expected prompt tokens to train, got none; set `prompt_length` and `prompt_depth` "
                "above 0."
            )
        self.requires_grad_(mode == "scratch")
        if self.prompt_tokens is not None:
            self.prompt_tokens.requires_grad_(mode != "frozen")
        blocks = self.visual.transformer.resblocks
        train_blocks(blocks, mode)
        # Read densely, the last block leaves out some of its parts, which get no gradient; DDP
        # waits for every parameter that could.
        for part in self.dense_reading.unused:
            blocks[-1].get_submodule(part).requires_grad_(False)

    def _pooled(
        self,
        tokens: Tensor,
        length: int,
        trained: Tensor | None,
        final: Callable[[Tensor], Tensor] | None,
    ) -> Tensor:
        """The global embedding, B x C.

        Args:
            tokens: before the last block, with prompts: B x (L + n) x W.
            length: L.
            trained: behind the last block run as it was trained, B x L x W; None if it was not.
            final: see `ImageTower.forward`.
        """
        last: Any = self.visual.transformer.resblocks[-1]
        if self.visual.pool_type == "tok":
            cls = _cls_as_trained(last, tokens) if trained is None else trained[:, 0]
            return self._embedding(cls, final)
        states = _without_prompts(last(tokens), length) if trained is None else trained
        if self.visual.final_ln_after_pool:
            states = states if final is None else final(states)
            return self._embedding(states[:, 1:].mean(1), None)
        return self._embedding(states[:, 1:], final).mean(1)

    def _embedding(self, states: Tensor, final: Callable[[Tensor], Tensor] | None) -> Tensor:
        """States of the last block -> joint space: ... x W -> ... x C."""
        if final is not None:
            states = final(states)
        return self.visual.ln_post(states) @ self.visual.proj

    def _embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Patches -> B x L x W tokens, CLS first, and the grid's height and width."""
        visual = self.visual
        # A model may have been put into half or double precision.
        patches = visual.conv1(images.to(visual.conv1.weight.dtype))
        grid = (patches.shape[-2], patches.shape[-1])
        tokens = patches.flatten(2).transpose(1, 2)
        cls = visual.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
        position = resize_grid_embedding(visual.positional_embedding, visual.grid_size, grid)
        tokens = torch.cat((cls, tokens), dim=1) + position.to(tokens.dtype)
        return visual.ln_pre(tokens), grid

    def _run(self, block: nn.Module, tokens: Tensor) -> Tensor:
        if self.gradient_checkpointing and self.training:
            return checkpoint(block, tokens, use_reentrant=False)
        return block(tokens)


def train_blocks(blocks: Iterable[Any], mode: str) -> None:
    """Unfreeze what a training mode wants of transformer blocks with split projections."""
    for block in blocks:
        if mode == "full":
            block.requires_grad_(True)
        elif mode == "attention":
            block.attn.q_proj.weight.requires_grad_(True)
            block.attn.v_proj.weight.requires_grad_(True)


def _with_prompts(
    tokens: Tensor, prompts: Sequence[Tensor] | None, index: int, length: int
) -> Tensor:
    """Put block `index`'s prompt tokens behind CLS, in place of the block's before."""
    if prompts is None or index >= len(prompts):
        return tokens
    own = prompts[index].to(tokens.dtype).expand(len(tokens), *prompts[index].shape[-2:])
    return torch.cat((tokens[:, :1], own, tokens[:, tokens.shape[1] - length + 1 :]), dim=1)


def _without_prompts(tokens: Tensor, length: int) -> Tensor:
    """CLS and the last tokens, `length` in all."""
    if tokens.shape[1] == length:
        return tokens
    return torch.cat((tokens[:, :1], tokens[:, 1 - length :]), dim=1)


def _cls_as_trained(block: Any, tokens: Tensor) -> Tensor:
    """The CLS token behind a block that is run as CLIP was trained, for CLS alone: B x W."""
    normed = block.ln_1(tokens)
    cls = tokens[:, :1] + block.ls_1(block.attn(normed[:, :1], normed, normed)[0])
    return (cls + block.ls_2(block.mlp(block.ln_2(cls)))).squeeze(1)


def _drop(branch: nn.Module, _arguments: tuple, output: Tensor, rate: float) -> Tensor:
    """A branch's output, for some images of a training batch 0, for the others enlarged."""
    return stochastic_depth(output, rate, "row", branch.training)


def _to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """B x L x W with CLS -> B x W x h x w."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
