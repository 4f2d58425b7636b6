"""Text embeddings kept on disk between runs: a few thousand words take CLIP seconds to minutes."""

import contextlib
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from iopath.common.file_io import get_cache_dir
from torch import Tensor

from ...files import atomic_path

logger = logging.getLogger(__name__)

_NAME = "embeddings"


class TextCache:
    """Embeddings by what they were computed from, each in a file of its own.

    Nothing here fails: what cannot be read or written is computed again, and the log says why.

    Args:
        limit: bytes that the files may take together; those not used for longest go first. 0 keeps
            nothing.
        folder: where they are; None for `fgaseg_d2/text` in iopath's cache folder ($FVCORE_CACHE).
    """

    def __init__(self, limit: int, folder: Path | None = None) -> None:
        self.limit = limit
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder or Path(get_cache_dir()) / "fgaseg_d2" / "text"

    def get(self, key: str) -> Tensor | None:
        """The embeddings stored under `key` (a hexadecimal digest), or None."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            embeddings = safetensors.torch.load_file(path)[_NAME]
            path.touch()
        except (OSError, KeyError, safetensors.SafetensorError) as error:
            logger.warning("Ignored damaged text embeddings in %s (%s).", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return embeddings

    def put(self, key: str, embeddings: Tensor) -> None:
        """Store embeddings, and drop the files not used for longest above the limit."""
        size = embeddings.numel() * embeddings.element_size()
        if size > self.limit:
            return
        try:
            with atomic_path(self._path(key)) as path:
                safetensors.torch.save_file({_NAME: embeddings.cpu().contiguous()}, path)
            self._trim()
        except (OSError, safetensors.SafetensorError) as error:
            logger.warning("Could not keep text embeddings in %s (%s).", self.folder, error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _trim(self) -> None:
        total = 0
        files = [(path, path.stat()) for path in self.folder.glob("*.safetensors")]
        for path, stat in sorted(files, key=lambda item: item[1].st_mtime, reverse=True):
            total += stat.st_size
            if total > self.limit:
                # Another process may have dropped it already.
                path.unlink(missing_ok=True)


def fingerprint(weights: Mapping[str, Tensor], *settings: object) -> str:
    """A digest of weights and of whatever else decides a result (by its repr)."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in weights.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
