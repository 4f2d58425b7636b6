"""Part files: what a method adds to a CLIP, without the CLIP, whose file they name.

A part file is a safetensors file with the SHA-256 of the CLIP file among its metadata. The model is
built with that CLIP, and the part brings the rest; with another CLIP it is refused, because a model
of parts that do not belong together runs and is wrong.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping

import safetensors
import torch
from torch import Tensor, nn

from ..wording import plain
from .clip_names import unpacked

CLIP_SHA256 = "clip_sha256"
_BLOCK = 2**22  # bytes that are read at a time
_QUOTED = 12  # digits of a sum, of 64


def clip_of_part(path: str) -> str:
    """SHA-256 of the CLIP file that a part file stands on, 64 digits; "" for any other file.

    Args:
        path: a file of any kind, or none.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return str((file.metadata() or {}).get(CLIP_SHA256, "")).lower()
    # Whoever loads the file says what is wrong with it.
    except (OSError, safetensors.SafetensorError):
        return ""


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, 64 digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def note_file(module: nn.Module, path: str) -> None:
    """Remember which file filled a module, all of it; "" for none."""
    module.weights_file = path  # type: ignore[assignment]


def forget_files(model: nn.Module) -> None:
    """Forget it in all of a model, into which other weights have come."""
    for _, module, _ in _filled(model):
        note_file(module, "")


def from_clip(model: nn.Module, sha256: str, source: str) -> set[str]:
    """Names of the model's tensors that the CLIP which a part stands on has filled.

    Args:
        model: built with MODEL.CLIP.PRETRAINED.
        sha256: of the CLIP file, as the part says.
        source: what messages call the part.

    Raises:
        OSError: the CLIP file has gone.
        ValueError: the model's CLIP comes from another file, or from none.
    """
    filled = list(_filled(model))
    sums = {path: sha256_of(path) for path in sorted({path for _, _, path in filled})}
    for path, found in sums.items():
        if found != sha256:
            raise ValueError(_other_clip(source, sha256, f"{plain(path)} ({found[:_QUOTED]}...)"))
    if not sums:
        raise ValueError(_other_clip(source, sha256, "none from a file"))
    return {f"{prefix}.{name}" for prefix, module, _ in filled for name in module.state_dict()}


def without_clip(state: Mapping[str, Tensor], clip: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a model's tensors hold beyond a CLIP's.

    Args:
        state: of a model of this package.
        clip: of the CLIP file, under open_clip's names.

    Returns:
        Those of `state` that the CLIP does not have under their name, or with other values.
    """
    known = dict(unpacked(clip))
    return {name: tensor for name, tensor in state.items() if not _is_of(known, name, tensor)}


def _other_clip(source: str, sha256: str, found: str) -> str:
    return (
        f"expected the CLIP that {plain(source)} stands on (SHA-256 {plain(sha256[:_QUOTED])}...), "
        f"got {found}; set MODEL.CLIP.PRETRAINED to the file with that sum."
    )


def _filled(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, module and file of whatever one file has filled."""
    for name, module in model.named_modules():
        path = getattr(module, "weights_file", "")
        if path:
            yield name, module, path


def _is_of(clip: Mapping[str, Tensor], name: str, tensor: Tensor) -> bool:
    parts = name.split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts)))
    own = next((clip[end] for end in ends if end in clip), None)
    return own is not None and torch.equal(own.to(tensor.dtype), tensor)
