"""The names of the classes that a training showed, kept with the weights.

Letters: K classes, h w resolution of the scores.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..vocabulary import Vocabulary

# A buffer of one size, because checkpointers pass over tensors of another shape: room for some
# twenty thousand names.
_BYTES = 2**16


class SeenClasses(nn.Module):
    """Knows which words a training showed, and takes a constant off their scores.

    A model that favors what it was trained on finds classes that it has not seen only where these
    are not handicapped.

    Args:
        words: seen so far, None for none; a checkpoint brings its own.
        shift: off the scores of seen classes.
    """

    packed: Tensor

    def __init__(self, words: Vocabulary | None, shift: float) -> None:
        super().__init__()
        self.shift = shift
        self.register_buffer("packed", torch.zeros(_BYTES, dtype=torch.uint8))
        self._last: tuple[tuple[str, ...], ...] = ()
        self.register_load_state_dict_post_hook(_forget)
        if words is not None:
            self.add(words.classes)

    def names(self) -> frozenset[str]:
        """All names of all classes seen."""
        content = self.packed.cpu().numpy().tobytes().rstrip(b"\0")
        # The last byte may be a zero of its own.
        return frozenset(json.loads(zlib.decompress(content[:-1]))) if content else frozenset()

    def add(self, classes: Collection[tuple[str, ...]]) -> None:
        """Note classes, each with its names.

        Raises:
            ValueError: more names than there is room for.
        """
        # A training step has the same classes as the one before, nearly always.
        if tuple(classes) == self._last:
            return
        known = self.names()
        names = known.union(name for names in classes for name in names)
        if names != known:
            content = zlib.compress(json.dumps(sorted(names)).encode()) + b"."
            if len(content) > _BYTES:
                raise ValueError(
                    f"expected at most {_BYTES:,} bytes of names of classes to train on, got "
                    f"{len(content):,} for {len(names):,} names; train on fewer words"
                )
            filled = np.frombuffer(content.ljust(_BYTES, b"\0"), np.uint8).copy()
            self.packed.copy_(torch.from_numpy(filled))
        self._last = tuple(classes)

    def shifted(self, scores: Tensor, words: Vocabulary) -> Tensor:
        """Scores with less for seen classes, for the argmax; the same where nothing changes.

        Args:
            scores: K x h x w, of the classes of `words`.
            words: whose classes; one is seen if its first name is.

        Returns:
            K x h x w. Whether a background threshold is reached is decided before: a background
            that does not win among the scores loses.
        """
        known = self.names() if self.shift else frozenset()
        seen = torch.tensor([name in known for name in words.class_names], device=scores.device)
        if words.has_background:
            seen[-1] = False
        if not seen.any():
            return scores
        result = scores - self.shift * seen[:, None, None].to(scores.dtype)
        if words.has_background:
            loses = scores[-1] < scores[:-1].amax(0)
            result[-1] = torch.where(loses, scores[-1] - self.shift, scores[-1])
        return result


def _forget(seen: SeenClasses, _incompatible: Any) -> None:
    """Behind a checkpoint, which brings other names."""
    seen._last = ()
