"""Text embeddings kept on disk between runs: a few thousand words take CLIP seconds to minutes."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from iopath.common.file_io import get_cache_dir
from torch import Tensor

from ...io.file_errors import reading
from ...io.files import atomic_path

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
        try:
            # safetensors calls every file that it cannot open a missing one.
            with reading(path):
                content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("Could not use kept text embeddings: %s.", error)
            return None
        try:
            embeddings = safetensors.torch.load(content)[_NAME]
        except (KeyError, safetensors.SafetensorError) as error:
            # It stays until `put` replaces it, for it may be somebody else's.
            logger.warning("Ignored damaged text embeddings in %s (%s).", path, error)
            return None
        # The time of use may be noted by the owner alone.
        with contextlib.suppress(OSError):
            path.touch()
        return embeddings

    def put(self, key: str, embeddings: Tensor) -> None:
        """Store embeddings, and drop the files not used for longest above the limit.

        Files of other users are neither replaced nor dropped.
        """
        size = embeddings.numel() * embeddings.element_size()
        if size > self.limit:
            return
        path = self._path(key)
        try:
            if (stat := _stat(path)) and _is_foreign(stat):
                return
            content = safetensors.torch.save({_NAME: embeddings.cpu().contiguous()})
            with atomic_path(path, "another cache folder ($FVCORE_CACHE)") as temporary:
                temporary.write_bytes(content)
            self._trim()
        except OSError as error:
            logger.warning("Could not keep text embeddings: %s.", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _trim(self) -> None:
        total = 0
        found = {path: _stat(path) for path in self.folder.glob("*.safetensors")}
        own = [(path, stat) for path, stat in found.items() if stat and not _is_foreign(stat)]
        for path, stat in sorted(own, key=lambda item: item[1].st_mtime, reverse=True):
            total += stat.st_size
            if total > self.limit:
                # Another process may have dropped it already.
                path.unlink(missing_ok=True)


def _stat(path: Path) -> os.stat_result | None:
    """What the system says about a file, None if it is not there (any more)."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_foreign(stat: os.stat_result) -> bool:
    """Whether a file belongs to another user, where the system knows users."""
    return hasattr(os, "geteuid") and stat.st_uid != os.geteuid()


def fingerprint(weights: Mapping[str, Tensor], *settings: object) -> str:
    """A digest of weights and of whatever else decides a result (by its repr)."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in weights.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
