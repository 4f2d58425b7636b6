"""The tensors of a TorchScript archive, the format of OpenAI's CLIP models, without its program.

``torch.jit.load`` compiles and may run what the archive contains. Here only the description of its
modules is read, in which every class but a tensor's is an empty stand-in.
"""

import collections
import io
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..wording import plain
from .file_kinds import TORCHSCRIPT, UnreadableFileError, archive_members, damaged, file_format

_STORAGES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
}
_LONGEST_PROGRAM = 2**24  # bytes of source text that are looked at


def is_torchscript(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a TorchScript archive: tensors beside a program."""
    try:
        return file_format(os.fspath(path), os.fspath(path)) == TORCHSCRIPT
    except UnreadableFileError:
        return False


def read_torchscript(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the parameters and buffers of an archive by name, as ``state_dict`` would give them.

    Raises:
        OSError: it cannot be read.
        ValueError: the archive is damaged.
    """
    path = os.fspath(path)
    members = archive_members(path, path)
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(m.filename for m in members if m.filename.endswith("/data.pkl"))
            description = archive.read(member)
            _check_places(description)
            folder = member.removesuffix("data.pkl")
            root = _Reader(io.BytesIO(description), archive, folder).load()
        return dict(_named_tensors(root, ""))
    # A damaged pickle makes the reader raise nearly anything.
    except Exception as error:
        reason = plain(" ".join(repr(error).split()), 150)
        raise UnreadableFileError(
            f"expected a TorchScript archive in {plain(path)}, got {reason}."
        ) from error


def uses_quick_gelu(path: str | os.PathLike[str]) -> bool | None:
    """Tell from the text of an archive's program which activation its network has.

    Returns:
        True for QuickGELU, x * sigmoid(1.702 x), False for GELU, None where neither is found.

    Raises:
        OSError: it cannot be read.
        ValueError: the archive is damaged.
    """
    path = os.fspath(path)
    members = [m.filename for m in archive_members(path, path) if m.filename.endswith(".py")]
    left, has_sigmoid = _LONGEST_PROGRAM, False
    try:
        with zipfile.ZipFile(path) as archive:
            for member in members:
                with archive.open(member) as file:
                    text = file.read(max(left, 0))
                left -= len(text)
                if re.search(rb"\bgelu_?\(", text):
                    return False
                has_sigmoid = has_sigmoid or re.search(rb"\bsigmoid_?\(", text) is not None
    # As many kinds of errors as of damage.
    except Exception as error:
        raise damaged(path) from error
    return True if has_sigmoid else None


class _StandIn:
    """Takes the place of any object of the archive's program; does nothing."""

    def __init__(self, *_: object) -> None:
        self.attributes: Any = {}

    def __setstate__(self, state: object) -> None:
        self.attributes = state


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self.archive, self.folder = archive, folder
        self.storages: dict[tuple[str, torch.dtype], Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        return _StandIn

    def persistent_load(self, reference: Any) -> Tensor:
        _, dtype, key, *_ = reference
        if (key, dtype) not in self.storages:
            data = self.archive.read(f"{self.folder}data/{key}")
            values = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0)
            self.storages[key, dtype] = values.to(dtype)
        return self.storages[key, dtype]


def _check_places(description: bytes) -> None:
    """Refuse places in the reader's memory beyond those that a description can fill."""
    for operation, argument, _ in pickletools.genops(description):
        if operation.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(description):
            raise ValueError(f"a description of {len(description)} bytes with place {argument}")


def _rebuild(storage: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _named_tensors(module: _StandIn, prefix: str) -> Iterator[tuple[str, Tensor]]:
    attributes = module.attributes if isinstance(module.attributes, dict) else {}
    for name, value in attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _StandIn):
            yield from _named_tensors(value, f"{prefix}{name}.")
