"""timm's vision transformers as image towers: alone, or as open_clip has them in a CLIP.

EVA02-CLIP, SigLIP, SigLIP2, PE-Core, ViTamin, MobileCLIP-B, DINOv2, DINOv3, ...: whatever is of
timm's VisionTransformer or Eva.

Letters: B images, C joint embedding, W width of the tower, h w token grid, P tokens in front.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from detectron2.modeling import BACKBONE_REGISTRY
from open_clip.timm_model import TimmModel
from timm.layers import DropPath, RotaryEmbeddingCat
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ..layers.position import resize_grid_embedding
from .dense_reading import Grid, Places
from .vit import ViTTower


@BACKBONE_REGISTRY.register()
class TimmViT(ViTTower):
    """A vision transformer of timm; see `ViTTower` for the arguments.

    Where attention pooling makes the global embedding (SigLIP, PE-Core), the dense map is its value
    path: what it makes of a token that attends to itself alone.
    """

    @classmethod
    def takes(cls, visual: Any) -> bool:
        """See `ImageTower`."""
        # A subclass may embed otherwise.
        return type(trunk_of(visual)) in (VisionTransformer, Eva)

    @classmethod
    def checked(cls, visual: Any) -> nn.Module:
        """See `ImageTower`."""
        if not cls.takes(visual):
            raise ValueError(
                "expected `visual` with a VisionTransformer or Eva of timm, got "
                f"{type(trunk_of(visual)).__name__}; choose such a model, or the backbone "
                "build_image_tower for any."
            )
        trunk_of(visual).patch_embed.strict_img_size = False
        without_drop_paths(visual)
        return visual

    @property
    def trunk(self) -> Any:
        """The model of timm."""
        return trunk_of(self.visual)

    @property
    def blocks(self) -> Sequence[Any]:
        """See `ViTTower`."""
        return self.trunk.blocks

    @property
    def size_divisibility(self) -> int:
        """Height and width of the input must be multiples of this: the patch size, in pixels."""
        return self.trunk.patch_embed.feat_ratio()

    @property
    def image_size(self) -> tuple[int, int]:
        """See `ImageTower`."""
        # SigLIP's so400m of 384 leaves out what its patch of 14 does not divide.
        patch = self.size_divisibility
        height, width = self.trunk.patch_embed.img_size
        return height // patch * patch, width // patch * patch

    @property
    def token_shape(self) -> tuple[int, int]:
        """See `ImageTower`."""
        return len(self.trunk.blocks), self.trunk.embed_dim

    @property
    def embed_dim(self) -> int:
        """See `ImageTower`."""
        return joint_channels(self.visual, self.trunk.embed_dim)

    @property
    def pools_first(self) -> bool:
        """See `ViTTower`."""
        return self.trunk.attn_pool is None and self.trunk.global_pool == "token"

    def embed(self, images: Tensor) -> tuple[Tensor, Places]:
        """See `ViTTower`."""
        trunk = self.trunk
        images = images.to(next(trunk.patch_embed.parameters()).dtype)
        grid = trunk.patch_embed.dynamic_feat_size(images.shape[-2:])
        height, width = (side * self.size_divisibility for side in grid)
        tokens = trunk.patch_embed(images[..., :height, :width])
        if tokens.ndim == 4:
            # Made for pictures of any size, it leaves the grid as it is.
            tokens = tokens.flatten(1, 2)
        front = [token for token in (trunk.cls_token, trunk.reg_token) if token is not None]
        front = [token.expand(len(tokens), -1, -1) for token in front]
        position = self._positions(grid)
        if trunk.no_embed_class:
            tokens = torch.cat((*front, tokens + position), dim=1)
        else:
            tokens = torch.cat((*front, tokens), dim=1) + position
        rope = getattr(trunk, "rope", None)
        places = Places(
            grid,
            cls=trunk.cls_token is not None,
            rope=None if rope is None else _rotation(rope, grid),
            by_block=getattr(trunk, "rope_mixed", False),
        )
        return trunk.norm_pre(tokens), places

    def _positions(self, grid: Grid) -> Tensor | float:
        """What is added to tokens by their place."""
        trunk = self.trunk
        if trunk.pos_embed is None:
            return 0.0
        return resize_grid_embedding(
            trunk.pos_embed[0],
            trunk.patch_embed.grid_size,
            grid,
            front=0 if trunk.no_embed_class else trunk.num_prefix_tokens,
            antialias=self.position_resize != "bicubic",
        )

    def run(self, block: Any, tokens: Tensor, rope: Tensor | None) -> Tensor:
        """See `ViTTower`."""
        return block(tokens) if rope is None else block(tokens, rope=rope)

    def without_effect(self) -> Iterator[nn.Parameter]:
        """See `ImageTower`; nor does the dense map depend on what an attention pooling asks."""
        yield from super().without_effect()
        pool = self.trunk.attn_pool
        if pool is not None:
            yield pool.latent
            # The keys' weights share a tensor with the values'.
            for part in (pool.q, pool.q_norm, pool.k_norm):
                yield from part.parameters()

    def project(self, states: Tensor) -> Tensor:
        """See `ViTTower`."""
        trunk = self.trunk
        states = trunk.norm(states)
        if trunk.attn_pool is not None:
            # Attention over one token is its value.
            states = trunk.attn_pool(states.flatten(0, 1)[:, None]).unflatten(0, states.shape[:2])
        return joint_head(self.visual)(trunk.head(trunk.head_drop(trunk.fc_norm(states))))

    def pool(self, states: Tensor) -> Tensor:
        """See `ViTTower`."""
        return joint_head(self.visual)(self.trunk.forward_head(self.trunk.norm(states)))


def trunk_of(visual: Any) -> Any:
    """The model of timm in an image tower of open_clip, or the model itself."""
    return visual.trunk if isinstance(visual, TimmModel) else visual


def joint_head(visual: Any) -> nn.Module:
    """What open_clip puts behind timm's model."""
    return visual.head if isinstance(visual, TimmModel) else nn.Identity()


def joint_channels(visual: Any, width: int) -> int:
    """Channels behind timm's model, of which the features have `width`, and open_clip's head."""
    classifier = trunk_of(visual).get_classifier()
    # Some have several; they end with their features here.
    layers = [*classifier.modules()] if isinstance(classifier, nn.Module) else []
    layers += joint_head(visual).modules()
    return next((m.out_features for m in reversed(layers) if isinstance(m, nn.Linear)), width)


def without_drop_paths(visual: nn.Module) -> None:
    """Switch off the stochastic depth that a model brings: methods ask for it (`drop_paths`)."""
    for module in visual.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0


def _rotation(rope: Any, grid: Grid) -> Tensor:
    """What rotary position embeddings are for a grid, ... x h w x 2d."""
    if not isinstance(rope, RotaryEmbeddingCat):
        return rope.get_embed(shape=list(grid))
    if rope.feat_shape is not None and tuple(rope.feat_shape) != grid:
        # It gives what it has for the grid that it was made for alone. A model in evaluation is
        # shared by threads, so the copy changes and not the model.
        rope = copy.deepcopy(rope)
        rope.update_feat_shape(list(grid))
    return rope.get_embed(shape=list(grid))
