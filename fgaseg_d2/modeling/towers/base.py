"""What an image tower is: the interface between the models of other libraries and the methods.

Letters: B images, C joint embedding, W width of a level, n prompt tokens, h w token grid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor, nn

from .loading import load_image_tower, needed_pretrained

DENSE, GLOBAL = "dense", "global"
# The levels that guide a decoder to twice and to four times the dense map's resolution.
GUIDANCE = ("guidance_early", "guidance_late")
# Which parameters `train_only` leaves trainable.
TRAINING_MODES = ("frozen", "prompt", "attention", "full", "scratch")
_QUERIES_AND_VALUES = {"q_proj", "v_proj", "query", "value", "q", "v"}


class ImageTower(Backbone):
    """Picture -> dense map in the joint space, levels on the way, global embedding on request.

    A Detectron2 backbone: `output_shape()` names the dense map and the levels with their channels
    and strides, `size_divisibility` is the patch size, or the largest stride, in pixels.
    """

    # A model of another library, with that one's attributes.
    visual: Any

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict[str, Any]:
        """The arguments of the constructor that all towers share, from a configuration."""
        clip_cfg, weights = cfg.MODEL.CLIP, cfg.MODEL.WEIGHTS
        pretrained = needed_pretrained(clip_cfg.PRETRAINED, weights, cfg.MODEL.WEIGHTS_PARTIAL)
        return {"visual": load_image_tower(clip_cfg.NAME, pretrained)}

    @classmethod
    @abstractmethod
    def takes(cls, visual: Any) -> bool:
        """Whether an image tower of a library can be one of this class."""

    @classmethod
    @abstractmethod
    def checked(cls, visual: Any) -> nn.Module:
        """`visual`, prepared for pictures of any size.

        Raises:
            ValueError: it is not what this class can be made of.
        """

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels of the pictures that the tower was made for."""

    @property
    @abstractmethod
    def embed_dim(self) -> int:
        """C."""

    @abstractmethod
    def forward(
        self,
        images: Tensor,
        *,
        outputs: Collection[str] | None = None,
        prompts: Sequence[Tensor] | None = None,
        final: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Embed pictures.

        Args:
            images: B x 3 x H x W, normalised, H and W multiples of `size_divisibility`.
            outputs: what to return, names of `output_shape()` and "global"; None for all but
                "global", which costs attention that a dense reading may leave out.
            prompts: for each of the first blocks n x W tokens, or B x n x W, to put behind CLS and
                registers, in place of those of the block before; None for the tower's own, if it
                has any.
            final: what the states of the last block go through before the tower's own norm and
                projection, ... x W -> ... x W; None for nothing.

        Returns:
            "dense": B x C x h x w, not normalised; each level B x W x h x w; "global": B x C, as
            the tower was trained to embed a picture as a whole, not normalised.
        """

    @property
    def token_shape(self) -> tuple[int, int]:
        """Number of blocks, and W of the tokens that go through them: the shape of prompts.

        Raises:
            ValueError: the tower has none, and so takes no prompts.
        """
        raise self._without_tokens()

    def drop_paths(self, rate: float) -> None:
        """Leave out branches of the blocks at random in training (stochastic depth).

        Args:
            rate: of the last block's two branches, in 0..1; the first block's is 0, and the others
                lie on a line between them.

        Raises:
            ValueError: a rate above 0 for a tower that cannot.
        """
        if rate:
            raise ValueError(
                f"expected no dropped paths with a tower of type {type(self).__name__}, got the "
                f"rate {rate:g}; set it to 0."
            )

    @abstractmethod
    def train_only(self, mode: str) -> None:
        """Freeze and unfreeze the tower's parameters, in place.

        Args:
            mode: "frozen": none. "prompt": the tower's own prompt tokens. "attention": the weights
                of the q and v projections of every block. "full": everything in the blocks.
                "scratch": everything, embeddings and projections included.

        Raises:
            ValueError: an unknown mode, or "prompt" for a tower without prompt tokens.
        """

    def train(self, mode: bool = True) -> ImageTower:
        """Switch the mode; norms that do not train keep the statistics of their training."""
        super().train(mode)
        for module in self.modules():
            trains = any(parameter.requires_grad for parameter in module.parameters())
            if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)) and not trains:
                module.eval()
        return self

    def without_effect(self) -> Iterator[nn.Parameter]:
        """Parameters that neither the dense map nor a level depends on."""
        return iter(())

    def _freeze_without_effect(self) -> None:
        # They get no gradient, and DDP waits for every parameter that could.
        for parameter in self.without_effect():
            parameter.requires_grad_(False)

    def _without_tokens(self) -> ValueError:
        return ValueError(
            "expected a tower of transformer blocks, whose tokens prompts can join, got one of "
            f"type {type(self).__name__}; choose a vision transformer."
        )


def guidance_levels(blocks: Sequence[int]) -> dict[str, int] | None:
    """The levels that two blocks leave; None for none.

    Raises:
        ValueError: not two, or not the earlier one first.
    """
    if not blocks:
        return None
    if len(blocks) != len(GUIDANCE) or list(blocks) != sorted(blocks):
        raise ValueError(
            f"expected `levels` to be two ascending block numbers, got {list(blocks)}."
        )
    return dict(zip(GUIDANCE, blocks, strict=True))


def check_levels(levels: Mapping[str, int], count: int, parts: str) -> None:
    """Raise a ValueError for levels of others than the `count` `parts` ("blocks") of a tower."""
    if any(not 0 <= number < count for number in levels.values()):
        raise ValueError(
            f"expected `levels` to be {parts} from 0 to {count - 1} of this tower, got "
            f"{dict(levels)}."
        )


def train_blocks(blocks: Iterable[nn.Module], mode: str) -> None:
    """Unfreeze what a training mode wants of transformer blocks.

    Raises:
        ValueError: "attention" of blocks without separate projections.
    """
    for block in blocks:
        if mode == "full":
            block.requires_grad_(True)
        elif mode == "attention":
            weights = list(_query_and_value_weights(block))
            if not weights:
                raise ValueError(
                    "expected `mode` frozen, full or scratch with blocks of type "
                    f"{type(block).__name__}, whose queries and values have no weights of their "
                    "own, got 'attention'."
                )
            for weight in weights:
                weight.requires_grad_(True)


def _query_and_value_weights(block: nn.Module) -> Iterator[Tensor]:
    """Of blocks of open_clip and timm with split attention, and of text towers of transformers."""
    for name, module in block.named_modules():
        if name.rpartition(".")[2] in _QUERIES_AND_VALUES and isinstance(module, nn.Linear):
            yield module.weight


def check_training_mode(mode: str) -> None:
    """Raise a ValueError if there is no such mode."""
    if mode not in TRAINING_MODES:
        raise ValueError(f"expected `mode` to be one of {', '.join(TRAINING_MODES)}, got '{mode}'.")
