"""Tensors kept on disk between runs, by a digest of whatever decides them."""

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

from ..io.file_errors import reading
from ..io.files import atomic_path

logger = logging.getLogger(__name__)


class KeptTensors:
    """Tensors by what they were computed from, a file for each key.

    Nothing here fails: what cannot be read or written is computed again, and the log says why.

    Args:
        limit: bytes that the files may take together; those not used for longest go first. 0 keeps
            nothing.
        kind: the folder within `fgaseg_d2` of iopath's cache folder ($FVCORE_CACHE).
        what: the tensors in words, for the log.
        folder: where they are instead; None for that one.
    """

    def __init__(self, limit: int, kind: str, what: str, folder: Path | None = None) -> None:
        self.limit, self.kind, self.what = limit, kind, what
        self._folder = folder
        # Bytes of all files at least; None before they were counted.
        self._total: int | None = None

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder or Path(get_cache_dir()) / "fgaseg_d2" / self.kind

    def get_all(self, key: str) -> dict[str, Tensor] | None:
        """The tensors stored under `key` (a hexadecimal digest), by name, or None."""
        path = self._path(key)
        try:
            # safetensors calls every file that it cannot open a missing one.
            with reading(path):
                content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("Could not use kept %s: %s.", self.what, error)
            return None
        try:
            tensors = safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            self._tell_damaged(key, error)
            return None
        # The time of use may be noted by the owner alone.
        with contextlib.suppress(OSError):
            path.touch()
        return tensors

    def put_all(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store tensors, and drop the files not used for longest above the limit.

        Files of other users are neither replaced nor dropped.
        """
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if size > self.limit:
            return
        path = self._path(key)
        try:
            if (stat := _stat(path)) and _is_foreign(stat):
                return
            content = safetensors.torch.save(
                {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            )
            with atomic_path(path, "another cache folder ($FVCORE_CACHE)") as temporary:
                temporary.write_bytes(content)
            # Looking at thousands of files takes longer than writing one.
            if self._total is None or self._total + len(content) > self.limit:
                self._total = self._trim()
            else:
                self._total += len(content)
        except OSError as error:
            logger.warning("Could not keep %s: %s.", self.what, error)

    def _tell_damaged(self, key: str, error: Exception) -> None:
        # It stays until it is replaced, for it may be somebody else's.
        logger.warning("Ignored damaged %s in %s (%s).", self.what, self._path(key), error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _trim(self) -> int:
        """Drop what is above the limit; returns the bytes that are left of one's own."""
        total = left = 0
        found = {path: _stat(path) for path in self.folder.glob("*.safetensors")}
        own = [(path, stat) for path, stat in found.items() if stat and not _is_foreign(stat)]
        for path, stat in sorted(own, key=lambda item: item[1].st_mtime, reverse=True):
            total += stat.st_size
            if total > self.limit:
                # Another process may have dropped it already.
                path.unlink(missing_ok=True)
            else:
                left = total
        return left


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
