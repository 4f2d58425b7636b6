"""open_clip's own vision transformer as an image tower.

Letters: B images, C joint embedding, W width of the tower, h w token grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from detectron2.modeling import BACKBONE_REGISTRY
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.position import resize_grid_embedding
from .dense_reading import Places
from .vit import ViTTower


@BACKBONE_REGISTRY.register()
class CLIPViT(ViTTower):
    """CLIP's vision transformer as open_clip builds it, CoCa's included.

    The dense map of CoCa is the value path of its attention pooling: what that makes of a token
    that attends to itself alone. See `ViTTower` for the arguments.
    """

    @classmethod
    def takes(cls, visual: Any) -> bool:
        """See `ImageTower`."""
        return isinstance(visual, VisionTransformer)

    @classmethod
    def checked(cls, visual: Any) -> nn.Module:
        """See `ImageTower`."""
        if not cls.takes(visual):
            raise ValueError(
                "expected `visual` to be of a CLIP with open_clip's plain vision transformer, "
                f"got an image tower of type {type(visual).__name__}; choose a ViT-* model, or "
                "the backbone build_image_tower for any."
            )
        if getattr(visual, "attn_pool_contrastive", None) is not None:
            raise ValueError(
                "expected `visual` with one attention pooling at most, got one with two "
                f"({visual.attn_pool_type}), which open_clip calls untested; choose another model."
            )
        if visual.pool_type not in ("tok", "avg"):
            raise ValueError(
                "expected `visual` to pool by its CLS token or by the mean of its tokens, got "
                f"pool_type '{visual.pool_type}'; choose a ViT-* model."
            )
        return visual

    @property
    def blocks(self) -> Sequence[Any]:
        """See `ViTTower`."""
        return self.visual.transformer.resblocks

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input must be multiples of this: the patch size, in pixels."""
        return self.visual.patch_size[0]

    @property
    def image_size(self) -> tuple[int, int]:
        """See `ImageTower`."""
        return self.visual.image_size

    @property
    def token_shape(self) -> tuple[int, int]:
        """See `ImageTower`."""
        return len(self.visual.transformer.resblocks), self.visual.conv1.out_channels

    @property
    def embed_dim(self) -> int:
        """See `ImageTower`."""
        return self.visual.proj.shape[1]

    @property
    def pools_first(self) -> bool:
        """See `ViTTower`."""
        return self.visual.attn_pool is None and self.visual.pool_type == "tok"

    def embed(self, images: Tensor) -> tuple[Tensor, Places]:
        """See `ViTTower`."""
        visual = self.visual
        # A model may have been put into half or double precision.
        patches = visual.conv1(images.to(visual.conv1.weight.dtype))
        grid = (patches.shape[-2], patches.shape[-1])
        tokens = patches.flatten(2).transpose(1, 2)
        cls = visual.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
        position = resize_grid_embedding(
            visual.positional_embedding,
            visual.grid_size,
            grid,
            antialias=self.position_resize == "antialias",
        )
        tokens = torch.cat((cls, tokens), dim=1) + position.to(tokens.dtype)
        return visual.ln_pre(tokens), Places(grid, cls=True)

    def run(self, block: Any, tokens: Tensor, rope: Tensor | None) -> Tensor:
        """See `ViTTower`."""
        return block(tokens)

    def without_effect(self) -> Iterator[nn.Parameter]:
        """See `ImageTower`; nor does the dense map depend on what an attention pooling asks."""
        yield from super().without_effect()
        pool = self.visual.attn_pool
        if pool is not None:
            asks = (pool.query, pool.attn.q_proj_weight, pool.attn.k_proj_weight)
            # Where torch packs the three projections, they train together.
            yield from (parameter for parameter in asks if parameter is not None)
            yield from pool.ln_q.parameters()

    def project(self, states: Tensor) -> Tensor:
        """See `ViTTower`."""
        if self.visual.attn_pool is not None:
            states = _alone_through(self.visual.attn_pool, states)
        return self.visual.ln_post(states) @ self.visual.proj

    def pool(self, states: Tensor) -> Tensor:
        """See `ViTTower`."""
        visual = self.visual
        if visual.attn_pool is not None:
            states = visual.attn_pool(states)
        if visual.pool_type == "avg":
            first, norm_last = states[:, 1:], visual.final_ln_after_pool and not visual.attn_pool
            states = first.mean(1) if norm_last else visual.ln_post(first).mean(1)
            return (visual.ln_post(states) if norm_last else states) @ visual.proj
        return visual.ln_post(states[:, 0]) @ visual.proj


def _alone_through(pool: Any, states: Tensor) -> Tensor:
    """What an attention pooling gives for tokens by themselves: B x N x W -> B x N x C."""
    attention, dim = pool.attn, pool.attn.embed_dim
    weight = attention.v_proj_weight
    if weight is None:
        weight = attention.in_proj_weight[2 * dim :]
    values = F.linear(pool.ln_k(states), weight, attention.in_proj_bias[2 * dim :])
    return attention.out_proj(values)
