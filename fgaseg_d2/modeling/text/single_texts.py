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
        found: dict[str, Tensor] = {}
        for text in dict.fromkeys(texts):
            kept = None if state is None else self._kept.get((text, state))
            if kept is not None:
                found[text] = kept
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            with torch.no_grad():
                new = encoder(tuple((text,) for text in missing))
            for text, embedding in zip(missing, new, strict=True):
                found[text] = embedding
                if state is not None:
                    self._kept.put((text, state), embedding)
        return torch.stack([found[text] for text in texts])
