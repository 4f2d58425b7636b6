"""Early rejection: the fast variant drops classes on the way (paper, section III-D).

Letters: B images, T classes, C joint embedding, D channels of a class map, h w its grid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...modeling.layers.chunks import in_chunks
from ...modeling.layers.recording import largest
from .decoder import to_one


@dataclasses.dataclass(frozen=True)
class ClassMaps:
    """What goes through aggregation and decoder, of the classes that are left.

    Args:
        maps: B x T x h x w x D.
        local: local maps of the same shape, None without LCS or where they are not needed.
        text: B x T x C, None where it is not needed.
        left: T class numbers, ascending.
    """

    maps: Tensor
    local: Tensor | None
    text: Tensor | None
    left: Tensor

    def keep(self, survivors: Tensor | None) -> ClassMaps:
        """Leave the survivors, indices into T; None leaves all."""
        if survivors is None:
            return self
        return ClassMaps(
            self.maps[:, survivors],
            None if self.local is None else self.local[:, survivors],
            None if self.text is None else self.text[:, survivors],
            self.left[survivors],
        )


class EarlyRejection(nn.Module):
    """Three auxiliary heads: losses in training, and classes dropped on the way in inference.

    Args:
        dims: channels of the class maps at the three points.
        keep: best classes a position that survive.
    """

    def __init__(self, dims: Sequence[int], keep: int) -> None:
        super().__init__()
        if keep < 1:
            raise ValueError(f"expected `keep` of at least 1, got {keep}.")
        self.keep = keep
        self.heads = nn.ModuleList(nn.Conv2d(dim, 1, 3, padding=1) for dim in dims)

    def classify(self, point: int, x: Tensor) -> Tensor:
        """Auxiliary logits of class maps B x T x h x w x D at a point 0..2: B x T x h x w."""
        return in_chunks(lambda x: to_one(self.heads[point], x), x)

    def survivors(self, point: int, x: Tensor) -> Tensor | None:
        """Classes that are among the best at any position of any image, or None if all are.

        Returns:
            Ascending indices into T.
        """
        # What is recorded meets more classes, and fewer, than the example has here.
        if x.shape[1] <= self.keep and not torch.jit.is_tracing():
            return None
        return best_anywhere(self.classify(point, x), self.keep)


def best_anywhere(maps: Tensor, keep: int) -> Tensor:
    """The classes that are among the `keep` best at any position of any image.

    Args:
        maps: B x T x h x w.

    Returns:
        Ascending indices into T.
    """
    classes = maps.shape[1]
    kept = torch.zeros(classes, dtype=torch.bool, device=maps.device)
    kept[largest(maps, keep).flatten()] = True
    return kept.nonzero().squeeze(1)
