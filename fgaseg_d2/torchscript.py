"""The tensors of a TorchScript archive, the format of OpenAI's CLIP models, without its program.

``torch.jit.load`` compiles and may run what the archive contains. Here only the description of its
modules is read, in which every class but a tensor's is an empty stand-in.
"""

import collections
import os
import pickle
import zipfile
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

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


def is_torchscript(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a TorchScript archive: tensors beside a program."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in member for member in archive.namelist())


def read_torchscript(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the parameters and buffers of an archive by name, as ``state_dict`` would give them.

    Raises:
        ValueError: the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            with archive.open(member) as file:
                root = _Reader(file, archive, member.removesuffix("data.pkl")).load()
        return dict(_named_tensors(root, ""))
    # A damaged pickle makes the reader raise nearly anything.
    except Exception as error:
        raise ValueError(f"expected a TorchScript archive in {path}, got {error!r}.") from error


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
        data = self.archive.read(f"{self.folder}data/{key}")
        return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0).to(dtype)


def _rebuild(storage: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset).clone()


def _named_tensors(module: _StandIn, prefix: str) -> Iterator[tuple[str, Tensor]]:
    attributes = module.attributes if isinstance(module.attributes, dict) else {}
    for name, value in attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _StandIn):
            yield from _named_tensors(value, f"{prefix}{name}.")
