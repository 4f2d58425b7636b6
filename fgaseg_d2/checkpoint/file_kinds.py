"""What a checkpoint file is, by its first bytes, and its contents, without running code from it.

Nothing here takes much more memory than the file is large: what could be inflated is refused.
"""

import errno
import io
import pickle
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ..wording import plain
from .safe_globals import only_harmless_globals

TORCH, LEGACY_TORCH = "torch", "legacy torch"
TORCHSCRIPT, SAFETENSORS = "TorchScript", "safetensors"

# A large checkpoint with the state of an optimiser describes its tensors in less than 1 MiB.
LARGEST_PICKLE = 2**25
LARGEST_HEADER = 2**23

_LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # torch.serialization.MAGIC_NUMBER, pickled
_OTHERS = {
    b"": "an empty file",
    b"\x80": "a plain pickle, which is read by running what it contains",
    b"PK": "another or a damaged zip archive",
    b"\x1f\x8b": "compressed (gzip): unpack it",
    b"BZh": "compressed (bzip2): unpack it",
    b"\xfd7zXZ": "compressed (xz): unpack it",
    b"(\xb5/\xfd": "compressed (zstd): unpack it",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself with git lfs pull",
    b"<": "a web page",
    b"{": "text (JSON)",
}
# torch keeps what a file may name beside tensors for the whole process.
_reading_pickle = threading.Lock()


class UnreadableFileError(ValueError):
    """A file is damaged, cut short, or no checkpoint at all."""


def file_format(path: str, source: str) -> str:
    """Tell what kind of checkpoint a file is.

    Args:
        path: a file that is there.
        source: what messages call it.

    Returns:
        TORCH, LEGACY_TORCH, TORCHSCRIPT or SAFETENSORS.

    Raises:
        OSError: it cannot be read.
        UnreadableFileError: it is none of these.
    """
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        head = file.read(64)
    if head.startswith(b"PK\x03\x04"):
        names = [member.filename for member in archive_members(path, source)]
        if any("/code/" in name for name in names):
            return TORCHSCRIPT
        if any(name.endswith("/data.pkl") for name in names):
            return TORCH
    elif head[:1] == b"\x80" and _LEGACY_MAGIC in head[:32]:
        return LEGACY_TORCH
    elif head[8:9] == b"{" and (length := int.from_bytes(head[:8], "little")) <= size - 8:
        if length > LARGEST_HEADER:
            raise UnreadableFileError(
                f"expected a description of {LARGEST_HEADER:,} bytes at most in the safetensors "
                f"file {plain(source)}, got {length:,}; save it again."
            )
        return SAFETENSORS
    found = [what for start, what in _OTHERS.items() if start and head.startswith(start)]
    kind = found[-1] if found else "damaged, cut short, or something else" if head else _OTHERS[b""]
    raise UnreadableFileError(
        f"expected a checkpoint of tensors in {plain(source)} (torch.save or safetensors), but it "
        f"is {kind}. Fetch or save it again."
    )


def read_file(path: str, source: str) -> Any:
    """Read whatever a torch or safetensors file holds.

    Args:
        path: the file.
        source: what messages call it.

    Returns:
        Tensors, plain containers and values, NumPy's numbers and arrays.

    Raises:
        OSError: it cannot be read.
        UnreadableFileError: it is damaged or no checkpoint.
        ValueError: it holds other objects, or is of a kind that does not belong here.
    """
    kind = file_format(path, source)
    if kind == TORCHSCRIPT:
        raise ValueError(
            f"expected a checkpoint of tensors in {plain(source)}, but it is a TorchScript "
            "program, the format of OpenAI's CLIP models; give such a file as "
            "MODEL.CLIP.PRETRAINED."
        )
    try:
        if kind == SAFETENSORS:
            return safetensors.torch.load_file(path)
        with _reading_pickle, only_harmless_globals(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open(path, "rb") if kind == TORCH else _FewSteps(path) as file:
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"expected only tensors and plain containers in {plain(source)}, but it holds other "
            "objects, which are not loaded because they could run code, or it is damaged; keep "
            "only its weights and save them with torch.save."
        ) from error
    # Damaged bytes make the readers raise nearly anything.
    except Exception as error:
        if _is_of_the_system(error):
            raise
        raise damaged(source) from error


def archive_members(path: str, source: str) -> list[zipfile.ZipInfo]:
    """List an archive of torch after checking that it is whole and cannot be inflated.

    Args:
        path: a zip archive.
        source: what messages call it.

    Raises:
        UnreadableFileError: it is damaged, or its tensors are compressed, which torch never does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # The program of a TorchScript archive is compressed, and never unpacked as a whole.
            stored = [member for member in members if "/code/" not in member.filename]
            _check_bounds(path, source, stored)
            for member in stored:
                # torch can leave out the sum, and does not check it when it reads.
                if member.CRC:
                    _read_through(archive, member)
    except UnreadableFileError:
        raise
    # As many kinds of errors as of damage.
    except Exception as error:
        if _is_of_the_system(error):
            raise
        raise damaged(source) from error
    return members


def damaged(source: str) -> UnreadableFileError:
    """The error of a file whose contents do not fit together."""
    return UnreadableFileError(
        f"expected a checkpoint of tensors in {plain(source)}, but it cannot be read; it is "
        "damaged or cut short. Fetch or save it again."
    )


def _is_of_the_system(error: Exception) -> bool:
    """Whether an error is about the disk or permissions, and not about what a file holds."""
    # Damaged numbers lead to places that no file has (EINVAL).
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def _check_bounds(path: str, source: str, members: list[zipfile.ZipInfo]) -> None:
    compressed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
    if compressed:
        worst = max(compressed, key=lambda member: member.file_size)
        raise UnreadableFileError(
            f"expected uncompressed members in {plain(source)}, as torch.save writes them, got "
            f"{plain(worst.filename, 60)} with {worst.file_size:,} bytes in "
            f"{worst.compress_size:,}; nothing is unpacked, so save it again with torch.save."
        )
    longest = max((m.file_size for m in members if m.filename.endswith(".pkl")), default=0)
    if longest > LARGEST_PICKLE:
        raise UnreadableFileError(
            f"expected a description of {LARGEST_PICKLE:,} bytes at most in {plain(source)}, got "
            f"{longest:,}; save the weights alone."
        )
    # Members that share their bytes.
    if sum(member.file_size for member in members) > Path(path).stat().st_size:
        raise damaged(source)


def _read_through(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member to its end, where zipfile compares the sum."""
    with archive.open(member) as file:
        while file.read(2**22):
            pass


class _FewSteps(io.FileIO):
    """A file whose description, which torch reads in small steps, ends at the bound.

    The tensors are read past it, by the file's descriptor.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._left = LARGEST_PICKLE

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file, up to the bound."""
        data = super().read(-1 if size is None else size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("too long")
        return data
