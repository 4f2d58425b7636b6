"""Text embeddings kept on disk between runs: a few thousand words take CLIP seconds to minutes."""

from pathlib import Path

from torch import Tensor

from ...checkpoint.kept_tensors import KeptTensors

_NAME = "embeddings"


class TextCache(KeptTensors):
    """Embeddings by what they were computed from.

    Args:
        limit: see `KeptTensors`.
        folder: where they are; None for `fgaseg_d2/text` in iopath's cache folder.
    """

    def __init__(self, limit: int, folder: Path | None = None) -> None:
        super().__init__(limit, "text", "text embeddings", folder)

    def get(self, key: str) -> Tensor | None:
        """The embeddings stored under `key` (a hexadecimal digest), or None."""
        found = self.get_all(key)
        if found is None:
            return None
        if _NAME in found:
            return found[_NAME]
        self._tell_damaged(key, KeyError(_NAME))
        return None

    def put(self, key: str, embeddings: Tensor) -> None:
        """Store embeddings; see `KeptTensors.put_all`."""
        self.put_all(key, {_NAME: embeddings})
