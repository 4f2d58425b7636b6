"""Checkpoint files: fetched, read and written, without running code from them."""

import contextlib
import http.client
import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import safetensors.torch
import torch
from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathHandler, file_lock, get_cache_dir
from torch import Tensor

from .checkpoint_globals import only_harmless_globals
from .files import atomic_path
from .regular_files import require_file
from .torchscript import is_torchscript

BUNDLED = "fgaseg_d2://"
_DATA_PARALLEL = "module."
logger = logging.getLogger(__name__)


def is_url(path: str) -> bool:
    """Whether a path is an address that :func:`fetch_checkpoint` takes."""
    return path.startswith(("http://", "https://"))


def fetch_checkpoint(url: str) -> str:
    """Download a checkpoint, once.

    Args:
        url: http:// or https://; a query ("?download=true") is left out, as Detectron2 does.

    Returns:
        The local path, in iopath's cache folder.

    Raises:
        OSError: it could not be fetched whole.
    """
    parts = urlsplit(url)._replace(query="", fragment="")
    # iopath's own cache leaves the server's name out, so that two would share a file.
    folder = Path(get_cache_dir()) / "fgaseg_d2" / parts.netloc.replace(":", "_")
    try:
        return PathManager.get_local_path(parts.geturl(), cache_dir=str(folder))
    # urllib lets the errors of a broken connection through.
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OSError(
            f"expected a checkpoint at {url}, but it could not be fetched: {reason}; check the "
            "address and the network, or give the path of a file."
        ) from error


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read tensors and plain containers from a file, never code.

    Args:
        path: a .safetensors file, or one written by torch.save; local, or an http(s) URL.

    Returns:
        The state dict under "model", with whatever else the file holds beside it.

    Raises:
        OSError: there is no such file, or it could not be fetched.
        ValueError: the file is damaged or no checkpoint.
    """
    if not is_url(path):
        return _read(path, path)
    local = fetch_checkpoint(path)
    try:
        return _read(local, path)
    except ValueError:
        # Kept, the damaged file would be taken again next time.
        with contextlib.suppress(OSError):
            os.unlink(local)
        raise


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Tensor]) -> None:
    """Write a state dict; an interruption leaves no half-written file.

    Args:
        path: a name that ends in .safetensors or .pth, which says the format.
        state: tensors by name.

    Raises:
        ValueError: another ending.
        OSError: the file cannot be written.
    """
    ending = Path(path).suffix
    if ending not in (".safetensors", ".pth"):
        raise ValueError(f"expected a name that ends in .safetensors or .pth, got {path}.")
    tensors = {name: _alone(tensor.detach().cpu()) for name, tensor in state.items()}
    try:
        with atomic_path(path) as temporary:
            if ending == ".pth":
                torch.save({"model": tensors}, temporary)
            else:
                safetensors.torch.save_file(tensors, temporary)
    # Both writers report a full disk as an error of their own.
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise OSError(f"cannot write {path}: {str(error).splitlines()[0]}") from error


def _alone(tensor: Tensor) -> Tensor:
    """A part of a larger tensor would be written with all of it, or refused."""
    tensor = tensor.contiguous()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def _read(path: str, source: str) -> dict[str, Any]:
    require_file(path, "a checkpoint")
    try:
        loaded: Any
        if path.endswith(".safetensors"):
            loaded = safetensors.torch.load_file(path)
        else:
            with only_harmless_globals():
                loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"expected only tensors and plain containers in {source}, but it holds other objects, "
            "which are not loaded because they could run code, or it is damaged; keep only its "
            "'model' and save that with torch.save."
        ) from error
    # Damaged bytes make the readers raise nearly anything.
    except Exception as error:
        if is_torchscript(path):
            raise ValueError(
                f"expected a checkpoint of tensors in {source}, but it is a TorchScript program, "
                "the format of OpenAI's CLIP models; give such a file as MODEL.CLIP.PRETRAINED."
            ) from error
        raise ValueError(
            f"expected a checkpoint of tensors in {source}, but it cannot be read; it is damaged, "
            "cut short, or something else. Fetch or save it again."
        ) from error
    if isinstance(loaded, dict) and "model" not in loaded:
        loaded = {"model": loaded}
    if not isinstance(loaded, dict) or not (state := _tensors(loaded["model"], source)):
        raise ValueError(
            f"expected a checkpoint with named tensors in {source}, got something else; name a "
            "checkpoint of FGAseg."
        )
    return loaded | {"model": state}


def _tensors(state: object, source: str) -> dict[str, Tensor]:
    """The tensors of a state dict, without the prefix that (Distributed)DataParallel gives all."""
    if not isinstance(state, dict):
        return {}
    tensors, others = {}, []
    for name, value in state.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(value)
        if isinstance(value, Tensor):
            tensors[str(name)] = value
        else:
            others.append(str(name))
    if tensors and others:
        logger.warning(
            "left out %d entries of %s that are no tensors: %s", len(others), source, others[:5]
        )
    if all(name.startswith(_DATA_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_DATA_PARALLEL): t for name, t in tensors.items()}
    return tensors


def bundled_file(path: str) -> Path:
    """The safetensors file that "fgaseg_d2://NAME" stands for.

    Raises:
        FileNotFoundError: the package has no such weights.
    """
    file = Path(__file__).parent / "weights" / path[len(BUNDLED) :]
    if not file.is_file():
        known = ", ".join(sorted(p.name for p in file.parent.glob("*.safetensors")))
        raise FileNotFoundError(
            f"expected weights that come with fgaseg_d2, got '{path}'; there are: {known}."
        )
    return file


class _BundledWeights(PathHandler):
    """Makes "fgaseg_d2://NAME" the path of a checkpoint that comes with the package.

    The package holds safetensors, which Detectron2's own checkpointer does not read; so that
    DefaultPredictor works, the path resolves to a copy in Detectron2's format.
    """

    def _get_supported_prefixes(self) -> list[str]:
        return [BUNDLED]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        source = bundled_file(path)
        folder = Path(get_cache_dir()) / "fgaseg_d2"
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{source.stat().st_size}-{source.stat().st_mtime_ns}"
        copy = folder / f"{source.stem}-{stamp}.pth"
        with file_lock(str(copy)):
            if not copy.is_file():
                part = copy.with_suffix(".part")
                torch.save({"model": safetensors.torch.load_file(source)}, part)
                part.replace(copy)
        return str(copy)

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> Any:
        return open(self._get_local_path(path), mode, buffering=buffering)


PathManager.register_handler(_BundledWeights(), allow_override=True)
