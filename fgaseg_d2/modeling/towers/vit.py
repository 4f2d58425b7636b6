"""What all vision transformers share as image towers, whoever builds them.

Letters: B images, C joint embedding, W width of the tower, h w token grid, n prompt tokens, L
tokens of a block: P in front (CLS, registers), prompt tokens, then h w.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision.ops import stochastic_depth

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
from .block_parts import parts_of
from .dense_reading import Places, find_reading
from .token_sequence import TokenSequence


class ViTTower(ImageTower):
    """A vision transformer, read densely: one joint embedding for every token.

    Args:
        visual: the image tower of a library, with split q, k, v: `load_image_tower`.
        dense_reading: how the last block is run, a name in `dense_reading.READINGS`.
        levels: names of further outputs and the blocks, counted from 0, that they leave. None:
            "guidance_early" and "guidance_late" after one third and two thirds of the depth.
        position_resize: how learned position embeddings come to another grid, "bicubic",
            "antialias" (bicubic, smoothed), or "" as the tower's library does it.
        prompt_length: learned deep prompt tokens a block, 0 for none.
        prompt_depth: the first blocks that get prompt tokens.
        gradient_checkpointing: recompute the blocks' activations in the backward pass.

    Raises:
        ValueError: levels or prompts beyond the blocks, or a reading of what cannot be taken apart.
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
        visual: Any,
        *,
        dense_reading: str = "fgaseg",
        levels: Mapping[str, int] | None = None,
        position_resize: str = "",
        prompt_length: int = 0,
        prompt_depth: int = 0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.visual = self.checked(visual)
        self.dense_reading = find_reading(dense_reading)
        depth, width = self.token_shape
        if not self.dense_reading.as_trained and parts_of(self.blocks[-1]) is None:
            raise ValueError(
                "expected `dense_reading` clip with a tower whose blocks are of type "
                f"{type(self.blocks[-1]).__name__}, which no other reading can take apart, got "
                f"{dense_reading}; set it to clip."
            )
        if levels is None:
            thirds = (max(third * depth // 3 - 1, 0) for third in (1, 2))
            levels = dict(zip(GUIDANCE, thirds, strict=True))
        check_levels(levels, depth, "blocks")
        self.levels = dict(levels)
        self.position_resize = position_resize
        self.gradient_checkpointing = gradient_checkpointing
        self.prompt_tokens = None
        if prompt_length and prompt_depth:
            if prompt_depth > depth:
                raise ValueError(f"expected `prompt_depth` of at most {depth}, got {prompt_depth}.")
            self.prompt_tokens = nn.Parameter(torch.empty(prompt_depth, prompt_length, width))
            nn.init.xavier_uniform_(self.prompt_tokens)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        clip_cfg = cfg.MODEL.CLIP
        return super().from_config(cfg) | {
            "dense_reading": clip_cfg.DENSE_READING,
            "levels": guidance_levels(clip_cfg.GUIDANCE_BLOCKS),
            "position_resize": clip_cfg.POSITION_RESIZE,
            "prompt_length": clip_cfg.PROMPT_LENGTH,
            "prompt_depth": clip_cfg.PROMPT_DEPTH,
            "gradient_checkpointing": clip_cfg.GRADIENT_CHECKPOINTING,
        }

    @property
    @abstractmethod
    def pools_first(self) -> bool:
        """Whether the last block's first token alone makes the global embedding."""

    @property
    @abstractmethod
    def blocks(self) -> Sequence[Any]:
        """The transformer blocks."""

    @abstractmethod
    def embed(self, images: Tensor) -> tuple[Tensor, Places]:
        """Pictures -> what the first block takes, B x (P + h w) x W, and where its tokens are."""

    @abstractmethod
    def run(self, block: Any, tokens: Tensor, rope: Tensor | None) -> Tensor:
        """A block as it was trained: B x L x W -> B x L x W."""

    @abstractmethod
    def project(self, states: Tensor) -> Tensor:
        """States of the last block -> joint space, each by itself: B x N x W -> B x N x C."""

    @abstractmethod
    def pool(self, states: Tensor) -> Tensor:
        """States of the last block -> the global embedding: B x (P + h w) x W -> B x C.

        Where `pools_first`, the first of the states may come alone.
        """

    def forward(
        self,
        images: Tensor,
        *,
        outputs: Collection[str] | None = None,
        prompts: Sequence[Tensor] | None = None,
        final: Callable[[Tensor], Tensor] | None = None,
        spread: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """See `ImageTower`.

        Args:
            images, outputs, prompts, final: as there.
            spread: what the states of the last block, as the dense map is read, go through after
                `final`, B x W x h x w -> B x W x h' x w'; the dense map has the new grid. None for
                nothing.
        """
        wanted = {DENSE, *self.levels} if outputs is None else set(outputs)
        if prompts is None and self.prompt_tokens is not None:
            prompts = tuple(self.prompt_tokens)
        tokens, places = self.embed(images)
        sequence = TokenSequence(tokens.shape[1], places)
        maps: dict[str, Tensor] = {}
        for index, block in enumerate(self.blocks[:-1]):
            tokens = sequence.with_prompts(tokens, prompts, index)
            tokens = self._recomputed(block, tokens, places.of_block(index).rope)
            for name in self._leaving(index, wanted):
                maps[name] = sequence.to_map(tokens)
        tokens = sequence.with_prompts(tokens, prompts, len(self.blocks) - 1)
        steps = (final or _unchanged, spread or _unchanged)
        return maps | self._read_last(tokens, sequence, wanted, *steps)

    def _read_last(
        self,
        tokens: Tensor,
        sequence: TokenSequence,
        wanted: Collection[str],
        final: Callable[[Tensor], Tensor],
        spread: Callable[[Tensor], Tensor],
    ) -> dict[str, Tensor]:
        """What the last block gives, which runs as trained, as the reading says, or both."""
        index, last = len(self.blocks) - 1, self.blocks[-1]
        parts, places = parts_of(last), sequence.places.of_block(index)
        levels = list(self._leaving(index, wanted))
        dense_as_trained = self.dense_reading.as_trained and DENSE in wanted
        run = cache(lambda: self._recomputed(last, tokens, places.rope))
        maps = {name: sequence.to_map(run()) for name in levels}
        if DENSE in wanted:
            # A block that cannot be taken apart has no other reading.
            if parts is None or dense_as_trained:
                dense = run()
            else:
                dense = self.dense_reading(parts, tokens, places)
            states = spread(sequence.to_map(final(sequence.of_places(dense))))
            dense = self.project(states.flatten(2).transpose(1, 2))
            if self.dense_reading.unit_norm:
                dense = F.normalize(dense, dim=-1)
            maps[DENSE] = dense.transpose(1, 2).unflatten(2, states.shape[2:])
        if GLOBAL in wanted:
            # The first token alone costs a fraction of all.
            if parts is None or levels or dense_as_trained or not self.pools_first:
                states = run()
            else:
                states = parts.run_first(tokens, places.rope)
            maps[GLOBAL] = self.pool(final(sequence.without_prompts(states)))
        return maps

    def drop_paths(self, rate: float) -> None:
        """See `ImageTower`."""
        shares = torch.linspace(0, rate, len(self.blocks))
        for block, share in zip(self.blocks, shares, strict=True):
            parts = parts_of(block)
            if parts is None:
                return super().drop_paths(rate)
            for branch in parts.branches:
                if share:
                    # A hook, because a module around the branch's end would rename it.
                    branch.register_forward_hook(partial(_drop, rate=share.item()))
        return None

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
        train_blocks(self.blocks, mode)
        self._freeze_without_effect()

    def without_effect(self) -> Iterator[nn.Parameter]:
        """See `ImageTower`: read densely, the last block leaves out some of its parts."""
        last = self.blocks[-1]
        parts = parts_of(last)
        if parts is None or len(self.blocks) - 1 in self.levels.values():
            return
        members = [name for part in self.dense_reading.unused for name in parts.members[part]]
        for name, parameter in last.named_parameters():
            if any(name == member or name.startswith(f"{member}.") for member in members):
                yield parameter

    def _leaving(self, index: int, wanted: Collection[str]) -> Iterator[str]:
        """The levels wanted of a block."""
        return (name for name, block in self.levels.items() if block == index and name in wanted)

    def _recomputed(self, block: Any, tokens: Tensor, rope: Tensor | None) -> Tensor:
        if self.gradient_checkpointing and self.training:
            return checkpoint(self.run, block, tokens, rope, use_reentrant=False)
        return self.run(block, tokens, rope)

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of the dense map and of the levels."""
        stride, width = self.size_divisibility, self.token_shape[1]
        dense = ShapeSpec(channels=self.embed_dim, stride=stride)
        return {DENSE: dense} | {
            name: ShapeSpec(channels=width, stride=stride) for name in self.levels
        }


def _unchanged(states: Tensor) -> Tensor:
    return states


def _drop(branch: nn.Module, _arguments: tuple, output: Tensor, rate: float) -> Tensor:
    """A branch's output, for some images of a training batch 0, for the others enlarged."""
    return stochastic_depth(output, rate, "row", branch.training)
