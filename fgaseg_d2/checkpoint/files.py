"""Checkpoint files: fetched, read and written, without running code from them."""

import os
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathHandler, file_lock, get_cache_dir
from torch import Tensor

from ..io.file_errors import reading, writing
from ..io.files import atomic_path
from ..io.regular_files import kind_of_file
from ..wording import plain
from .downloads import cache_path, fetch_checkpoint, set_aside
from .file_kinds import UnreadableFileError, read_file
from .formats import is_foreign_name
from .hub import HUB, check_hub_file, fetch_hub_file, is_hub
from .part_files import CLIP_SHA256, clip_of_part
from .state_dicts import find_weights
from .transfers import is_url
from .weight_checks import check_size

BUNDLED = "fgaseg_d2://"
_OTHER_CACHE = "another cache folder ($FVCORE_CACHE)"
_WEIGHTS = Path(__file__).parent.parent / "weights"
_SEGMENTER = ("backbone.", "text_encoder.", "sem_seg_head.")


def locate_checkpoint(path: str, setting: str = "MODEL.WEIGHTS") -> str:
    """Find the file that a path or address stands for, and fetch it if need be.

    Args:
        path: a file, http:// or https://, "hf://OWNER/NAME/FILE" for a file on a hub, or
            "fgaseg_d2://NAME" for weights of the package.
        setting: where the path was given, for messages.

    Returns:
        A local path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an address of another kind.
        OSError: it could not be fetched.
    """
    check_address(path, setting)
    if path.startswith(BUNDLED):
        return str(bundled_file(path))
    if is_url(path):
        return fetch_checkpoint(path)
    if is_hub(path):
        return fetch_hub_file(path)
    local = os.path.expanduser(path)
    with reading(local, "checkpoint"):
        found = kind_of_file(local)
    if found != "a file":
        raise FileNotFoundError(
            f"expected {setting} to be a checkpoint, got {found} at {plain(path)}; check the path."
        )
    return local


def check_address(path: str, setting: str = "MODEL.WEIGHTS") -> None:
    """Refuse an address that :func:`locate_checkpoint` would refuse, without fetching anything.

    Args:
        path, setting: as there; a file's path passes.

    Raises:
        FileNotFoundError: no such weights in the package.
        ValueError: an address of another kind, or none.
    """
    if path.startswith(BUNDLED):
        bundled_file(path)
    elif is_url(path):
        cache_path(path)
    elif is_hub(path):
        check_hub_file(path)
    elif scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", path):
        raise ValueError(
            f"expected {setting} to be a file, http(s)://..., {HUB}... or {BUNDLED}NAME, got "
            f"{plain(path)}; "
            f"{plain(scheme[1], 20)}:// is not fetched, so download it and give the file's path."
        )


def read_checkpoint(
    path: str, model: Mapping[str, Tensor] | None = None, setting: str = "MODEL.WEIGHTS"
) -> dict[str, Any]:
    """Read tensors and plain containers from a file, never code.

    Args:
        path: what :func:`locate_checkpoint` takes; written by torch.save or safetensors, which its
            first bytes say.
        model: the state dict of the model that the weights are for, by whose names they are found;
            None for a segmenter of this package, FGA-seg or CAT-Seg.
        setting: where the path was given, for messages.

    Returns:
        The weights under "model", by the model's names or those of FGA-seg, without the containers
        and prefixes of training programs; whatever else the file holds; and for a part file (see
        `part_files`) the SHA-256 of its CLIP under "clip_sha256".

    Raises:
        OSError: there is no such file, or it cannot be read or fetched.
        ValueError: the file is damaged or no checkpoint.
    """
    local = locate_checkpoint(path, setting)
    try:
        with reading(local, "checkpoint"):
            loaded = read_file(local, path)
    except UnreadableFileError:
        # The damaged file would be taken again next time.
        if is_url(path):
            set_aside(local)
        raise
    if not isinstance(loaded, dict):
        loaded = {"model": loaded} if isinstance(loaded, (list, tuple)) else {}
    state = find_weights(loaded, _names_of(model), path)
    if not state:
        raise ValueError(
            f"expected a checkpoint with named tensors in {plain(path)}, got something else; name "
            "a checkpoint of FGAseg."
        )
    check_size(state, os.path.getsize(local), path)
    rest = {str(key): value for key, value in loaded.items() if not isinstance(value, Tensor)}
    part = {CLIP_SHA256: sha256} if (sha256 := clip_of_part(local)) else {}
    return rest | part | {"model": state}


def stands_on_clip(path: str) -> bool:
    """Whether MODEL.WEIGHTS is a part file, whose CLIP must be loaded beside it.

    Args:
        path: what :func:`locate_checkpoint` takes; only an address whose name ends in .safetensors
            is fetched.

    Raises:
        OSError, ValueError: it could not be fetched.
    """
    if is_url(path):
        if not urllib.parse.urlsplit(path).path.endswith(".safetensors"):
            return False
        return bool(clip_of_part(locate_checkpoint(path)))
    try:
        return bool(clip_of_part(locate_checkpoint(path)))
    # Whoever loads it says so.
    except (OSError, ValueError):
        return False


def _names_of(model: Mapping[str, Tensor] | None) -> Callable[[str], bool]:
    if model is None:
        return lambda name: name.startswith(_SEGMENTER) or is_foreign_name(name)
    return lambda name: name in model or is_foreign_name(name)


def write_checkpoint(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    elsewhere: str = "another folder",
    clip_sha256: str = "",
) -> None:
    """Write a state dict; an interruption leaves no half-written file.

    Args:
        path: a name that ends in .safetensors or .pth, which says the format.
        state: tensors by name.
        elsewhere: where else it could go, for the message.
        clip_sha256: of the CLIP file that a part file stands on; .safetensors only.

    Raises:
        ValueError: another ending.
        WriteError: the file cannot be written.
    """
    ending = Path(path).suffix
    if ending not in (".safetensors", ".pth"):
        raise ValueError(f"expected a name that ends in .safetensors or .pth, got {path}.")
    if clip_sha256 and ending != ".safetensors":
        raise ValueError(f"expected a part file's name to end in .safetensors, got {path}.")
    tensors = {name: _alone(tensor.detach().cpu()) for name, tensor in state.items()}
    metadata = {CLIP_SHA256: clip_sha256} if clip_sha256 else None
    with atomic_path(path, elsewhere) as temporary:
        # Into a file of ours: with a path torch.save does not say why it failed, and safetensors
        # writes to a file of its own, which a kill would leave.
        with temporary.open("wb") as file:
            if ending == ".pth":
                torch.save({"model": tensors}, file)
            else:
                file.write(safetensors.torch.save(tensors, metadata))


def _alone(tensor: Tensor) -> Tensor:
    """A part of a larger tensor would be written with all of it, or refused."""
    tensor = tensor.contiguous()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def bundled_file(path: str) -> Path:
    """The safetensors file that "fgaseg_d2://NAME" stands for.

    Raises:
        FileNotFoundError: the package has no such weights.
    """
    known = {file.name: file for file in sorted(_WEIGHTS.glob("*.safetensors"))}
    name = path.removeprefix(BUNDLED)
    if name not in known:
        raise FileNotFoundError(
            f"expected weights that come with fgaseg_d2, got '{plain(path)}'; there are: "
            f"{', '.join(known)}."
        )
    return known[name]


class _BundledWeights(PathHandler):
    """Makes "fgaseg_d2://NAME" the path of a checkpoint that comes with the package.

    The package holds safetensors, which Detectron2's own checkpointer does not read; so that
    DefaultPredictor works, the path resolves to a copy in Detectron2's format.
    """

    def _get_supported_prefixes(self) -> list[str]:
        return [BUNDLED]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        source = bundled_file(path)
        stamp = f"{source.stat().st_size}-{source.stat().st_mtime_ns}"
        folder = Path(get_cache_dir()) / "fgaseg_d2"
        copy = folder / f"{source.stem}-{stamp}.pth"
        with writing(folder, _OTHER_CACHE):
            # A whole copy is only read, and may be another user's.
            if copy.is_file():
                return str(copy)
            folder.mkdir(parents=True, exist_ok=True)
            with file_lock(str(copy)):
                if not copy.is_file():
                    write_checkpoint(copy, safetensors.torch.load_file(source), _OTHER_CACHE)
        return str(copy)

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> Any:
        return open(self._get_local_path(path), mode, buffering=buffering)


PathManager.register_handler(_BundledWeights(), allow_override=True)
