"""Embeddings of single texts, for trainings whose batches bring them in ever other company."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .encoder import CLIPTextEncoder
from .recent_embeddings import RecentEmbeddings


class SingleTexts:
    """Embeds texts one by one as names, and keeps each while a frozen encoder does not change.

    Args:
        size: texts to keep.
    """

    def __init__(self, size: int = 2**16) -> None:
        self._size = size
        self._state: tuple | None = None
        self._kept = RecentEmbeddings(size)

    def __call__(self, encoder: CLIPTextEncoder, texts: Sequence[str]) -> Tensor:
        """Embed texts.

        Args:
            encoder: no parameter of it trains.
            texts: they go into the encoder's templates.

        Returns:
            B x C, unit norm, without gradients.
        """
        state = encoder.state()
        if state is None or state != self._state:
            self._state, self._kept = state, RecentEmbeddings(self._size)
        kept = {text: self._kept.get(text) for text in dict.fromkeys(texts)}
        found = {text: embedding for text, embedding in kept.items() if embedding is not None}
        missing = [text for text in kept if text not in found]
        if missing:
            with torch.no_grad():
                new = encoder(tuple((text,) for text in missing))
            for text, embedding in zip(missing, new, strict=True):
                found[text] = embedding
                self._kept.put(text, embedding)
        return torch.stack([found[text] for text in texts])
