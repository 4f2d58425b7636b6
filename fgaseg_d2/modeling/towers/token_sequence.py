"""The parts of a vision transformer's sequence of tokens.

Letters: B images, W width, h w token grid, L tokens: P in front, prompt tokens, then h w.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .dense_reading import Places


class TokenSequence:
    """Finds its way in the tokens of a tower's blocks.

    Args:
        length: P + h w.
        places: where the tokens are.
    """

    def __init__(self, length: int, places: Places) -> None:
        self.length, self.places = length, places
        self.count = places.grid[0] * places.grid[1]

    def with_prompts(self, tokens: Tensor, prompts: Sequence[Tensor] | None, index: int) -> Tensor:
        """Put block `index`'s prompt tokens behind those in front, in place of earlier ones."""
        if prompts is None or index >= len(prompts):
            return tokens
        own = prompts[index].to(tokens.dtype).expand(len(tokens), *prompts[index].shape[-2:])
        return torch.cat((self._front(tokens), own, self.of_places(tokens)), dim=1)

    def without_prompts(self, tokens: Tensor) -> Tensor:
        """B x L x W -> B x (P + h w) x W; fewer tokens than that have no prompts among them."""
        if tokens.shape[1] <= self.length:
            return tokens
        return torch.cat((self._front(tokens), self.of_places(tokens)), dim=1)

    def of_places(self, tokens: Tensor) -> Tensor:
        """B x L x W -> B x h w x W."""
        return tokens[:, tokens.shape[1] - self.count :]

    def to_map(self, tokens: Tensor) -> Tensor:
        """B x L x W -> B x W x h x w."""
        return self.of_places(tokens).transpose(1, 2).unflatten(2, self.places.grid)

    def _front(self, tokens: Tensor) -> Tensor:
        return tokens[:, : self.length - self.count]
