"""Indices of shards, kept between runs in iopath's cache folder ($FVCORE_CACHE)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from iopath.common.file_io import get_cache_dir

from ...io.file_errors import reading
from ...io.files import atomic_path
from ...io.turns import turn
from ...parallel import available_processors, each
from ...wording import warn_once
from .broken import Broken
from .index import ShardIndex, index_shard

_FORM = "1"  # of what is kept
_ARRAYS = ("places", "names", "name_ends")
_MOST_WORKERS = 8

logger = logging.getLogger(__name__)


def indices_of(shards: Sequence[Path], title: str) -> list[ShardIndex]:
    """Read the index of each shard, or take what was read before of the very file.

    Of several processes of a run one reads, and the others wait.

    Args:
        shards: paths of tar files.
        title: for the progress that is shown.

    Raises:
        ReadError: a shard may not be read.
        ImportError: webdataset is not installed.
    """
    # Asked for first: what is read of a shard that is still being copied is not kept for the whole.
    files = {path: _file_of(path) for path in shards}
    found = {path: _kept(path, files[path]) for path in shards}
    if None not in found.values():
        return [found[path] for path in shards]  # type: ignore[misc]
    with contextlib.ExitStack() as stack:
        # Where there is no lock to be had each process reads them for itself.
        with contextlib.suppress(OSError):
            others = "reads where the samples of the shards are"
            stack.enter_context(turn(_lock_of(shards), others))
        missing = [path for path in shards if found[path] is None]
        for path in missing:
            found[path] = _kept(path, files[path])
        missing = [path for path in missing if found[path] is None]
        workers = min(available_processors(), _MOST_WORKERS)
        indices = each(index_shard, missing, workers, title, "shard")
        for path, index in zip(missing, indices, strict=True):
            found[path] = index
            _keep(index, files[path])
    return [found[path] for path in shards]  # type: ignore[misc]


def _file_of(shard: Path) -> Path:
    with reading(shard, "shard"):
        stat = shard.stat()
    told = f"{_FORM}\0{os.path.abspath(shard)}\0{stat.st_size}\0{stat.st_mtime_ns}"
    digest = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
    return _folder() / f"{digest}.npz"


def _folder() -> Path:
    return Path(get_cache_dir()) / "fgaseg_d2" / "shards"


def _kept(shard: Path, file: Path) -> ShardIndex | None:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            told = json.loads(arrays["told"].tobytes())
            return ShardIndex(
                **{name: arrays[name] for name in _ARRAYS},
                broken=tuple(Broken(os.fspath(shard), *one) for one in told["broken"]),
                damage=told["damage"],
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        warn_once(logger, f"Ignored the damaged index of a shard in {file} ({error}).")
        return None


def _keep(index: ShardIndex, file: Path) -> None:
    told = {
        "broken": [(one.key, one.reason) for one in index.broken],
        "damage": index.damage,
    }
    arrays = {name: getattr(index, name) for name in _ARRAYS}
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    try:
        with atomic_path(file, "another cache folder ($FVCORE_CACHE)") as temporary:
            np.savez_compressed(temporary, told=text, **arrays)
    except OSError as error:
        warn_once(logger, f"Could not keep the index of shards: {error}.")


def _lock_of(shards: Sequence[Path]) -> Path:
    names = "\0".join(os.path.abspath(path) for path in shards)
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
    return _folder() / f"{digest[:32]}.lock"
