"""What an image tower is: the interface between the models of other libraries and the methods.

Letters: B images, C joint embedding, W width of a level, n prompt tokens, h w token grid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence

from detectron2.modeling import Backbone
from torch import Tensor

DENSE, GLOBAL = "dense", "global"
# Which parameters `train_only` leaves trainable.
TRAINING_MODES = ("frozen", "prompt", "attention", "full", "scratch")


class ImageTower(Backbone):
    """Picture -> dense map in the joint space, levels on the way, global embedding on request.

    A Detectron2 backbone: `output_shape()` names the dense map and the levels with their channels
    and strides, `size_divisibility` is the patch size in pixels.
    """

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
            prompts: for each of the first blocks n x W tokens, or B x n x W, to put behind CLS, in
                place of those of the block before; None for the tower's own, if it has any.
            final: what the states of the last block go through before the tower's own norm and
                projection, ... x W -> ... x W; None for nothing.

        Returns:
            "dense": B x C x h x w, not normalised; each level B x W x h x w; "global": B x C, as
            the tower was trained to embed a picture as a whole, not normalised.
        """

    @property
    @abstractmethod
    def token_shape(self) -> tuple[int, int]:
        """Number of blocks, and W of the tokens that go through them: the shape of prompts."""

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


def check_training_mode(mode: str) -> None:
    """Raise a ValueError if there is no such mode."""
    if mode not in TRAINING_MODES:
        raise ValueError(f"expected `mode` to be one of {', '.join(TRAINING_MODES)}, got '{mode}'.")
