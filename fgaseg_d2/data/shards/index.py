"""Where the samples of a shard lie in it, read from the headers of its files.

n samples of a shard.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ...io.extras import import_extra
from ...io.file_errors import ReadError, reading
from ...wording import in_one_line
from .broken import Broken
from .finding import EXTRA

# Of several of one sample the first in this order is taken.
PICTURES = ("jpg", "jpeg", "png", "webp", "jfif", "bmp", "tif", "tiff", "gif")
CAPTION = "txt"
_BLOCK = tarfile.BLOCKSIZE
_LONGEST_CAPTION = 2**16  # bytes
_LONGEST_END = 2**20  # bytes of zeros that a program may write behind the last file
# What webdataset passes over.
_META = re.compile(r"__[^/]*__($|/)")
# Beginnings of files that are tars within something else.
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class ShardIndex(NamedTuple):
    """The samples of one shard.

    Attributes:
        places: n x 4 int64: where the picture begins and how many bytes it has; the same of the
            caption.
        names: uint8, the names of the pictures' files one behind the other, UTF-8.
        name_ends: n int64, where each of them ends.
        broken: samples that cannot be used, as far as headers and captions say.
        damage: why the rest of the shard cannot be read; "" where it can.
    """

    places: np.ndarray
    names: np.ndarray
    name_ends: np.ndarray
    broken: tuple[Broken, ...]
    damage: str = ""


def index_shard(path: str | os.PathLike[str]) -> ShardIndex:
    """Read the headers and captions of a shard.

    Args:
        path: of a tar file that is not compressed.

    Raises:
        ReadError: the disk or the permissions forbid it; a damaged file is no error.
        ImportError: webdataset is not installed.
    """
    tariterators = import_extra("webdataset.tariterators", EXTRA)
    places: list[tuple[int, int, int, int]] = []
    names: list[bytes] = []
    broken = []
    with reading(path, "shard"), Path(path).open("rb") as file, Path(path).open("rb") as other:
        walk = _Walk(os.fspath(path), file, other)
        # Which files belong together is what webdataset says. It raises at a second file of a name.
        for sample in tariterators.group_by_keys(walk, handler=walk.note_repeated):
            found = walk.look_at(sample)
            if isinstance(found, str):
                broken.append(Broken(walk.path, sample["__key__"], found))
                continue
            picture, caption = found
            names.append(picture.name.encode("utf-8", "surrogateescape"))
            places.append((picture.offset, picture.size, caption.offset, caption.size))
    return ShardIndex(
        places=np.array(places, np.int64).reshape(-1, 4),
        names=np.frombuffer(b"".join(names), np.uint8),
        name_ends=np.cumsum([len(name) for name in names], dtype=np.int64),
        broken=(*broken, *walk.repeated),
        damage=walk.damage,
    )


class _File(NamedTuple):
    """A file within a shard; offset and size in bytes."""

    name: str
    offset: int
    size: int


class _Walk:
    """The files of a shard in its order, as far as it can be read; then `damage` says why."""

    def __init__(self, path: str, file: BinaryIO, other: BinaryIO) -> None:
        self.path, self.damage = path, ""
        self.repeated: list[Broken] = []
        # tarfile has one of them to itself.
        self._file, self._other = file, other
        self._bytes = os.fstat(file.fileno()).st_size
        self._name = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """As webdataset's iterators hand files on, with the place instead of the content."""
        end = 0
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    size = member.size if member.isreg() else 0
                    end = member.offset_data + -(-size // _BLOCK) * _BLOCK
                    if member.isreg() and not _META.match(member.name):
                        self._name = member.name
                        place = _File(member.name, member.offset_data, size)
                        yield {"fname": member.name, "data": place, "__url__": self.path}
        except (ReadError, MemoryError, FileNotFoundError):
            raise
        # Damaged headers make tarfile raise nearly anything.
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            self.damage = self._what_is_wrong(end, error)
        else:
            self.damage = self._what_is_wrong(end, None)

    def note_repeated(self, error: Exception) -> bool:
        """Note that the last file has the name of one before; True lets webdataset go on."""
        self.repeated.append(Broken(self.path, self._name, "a second file of this name"))
        return True

    def look_at(self, sample: Mapping[str, Any]) -> tuple[_File, _File] | str:
        """Picture and caption of a sample, or why it cannot be used."""
        picture = next((sample[kind] for kind in PICTURES if kind in sample), None)
        caption = sample.get(CAPTION)
        if picture is None:
            return "no picture"
        if picture.size == 0:
            return "an empty picture"
        if caption is None:
            return "no caption"
        for what, file in (("picture", picture), ("caption", caption)):
            if file.offset + file.size > self._bytes:
                return f"a {what} that is cut off"
        try:
            caption_in(self._other, caption.offset, caption.size)
        except ValueError as error:
            return str(error)
        return picture, caption

    def _what_is_wrong(self, end: int, error: Exception | None) -> str:
        """Look at what stands where the last file ends: a block of zeros is the end of a tar."""
        self._other.seek(end)
        block = self._other.read(_BLOCK)
        if end == 0:
            return self._what_it_is(block) if error is not None else "a tar without files"
        if len(block) < _BLOCK:
            return f"cut off after {self._bytes:,} bytes"
        if any(block):
            return f"damaged at byte {end:,}, and what follows is lost"
        # A file that was made in its full length and copied in part.
        if self._bytes - end > _LONGEST_END:
            return f"nothing but zeros from byte {end:,} on"
        return "" if error is None else f"damaged ({in_one_line(str(error), 80)})"

    def _what_it_is(self, block: bytes) -> str:
        if not block:
            return "an empty file"
        for magic, name in _PACKED.items():
            if block.startswith(magic):
                return f"compressed by {name}, and samples are read in any order; unpack it"
        return f"no tar file ({self._bytes:,} bytes)"


def caption_in(shard: BinaryIO, offset: int, size: int) -> str:
    """Read a caption.

    Args:
        shard: the open file.
        offset, size: in bytes.

    Raises:
        ValueError: it is no text; the message is a reason of a few words.
    """
    if size > _LONGEST_CAPTION:
        raise ValueError(f"a caption of {size:,} bytes")
    try:
        shard.seek(offset)
        caption = shard.read(size).decode("utf-8").replace("\0", " ").strip()
    except UnicodeDecodeError:
        raise ValueError("a caption that is no UTF-8") from None
    if not caption:
        raise ValueError("a caption of blanks" if size else "an empty caption")
    return caption
