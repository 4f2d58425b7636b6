"""The samples of many shards as a list of records, of which none is made before it is asked for.

n samples of all shards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from PIL import UnidentifiedImageError

from ...io.file_errors import reading
from ...io.files import read_picture
from ...wording import PATH, in_one_line, plain
from .broken import Broken, BrokenPart, BrokenPictureError
from .index import ShardIndex, caption_in


class Member(NamedTuple):
    """A file within a shard.

    Attributes:
        shard: path of the tar file.
        offset: of the content, in bytes.
        size: in bytes.
    """

    shard: str
    offset: int
    size: int


class ShardRecords(Sequence[dict[str, Any]]):
    """Dataset records of shards: ``file_name``, ``captions`` (one), and the picture's ``member``.

    53 bytes a sample are kept, with names of 13 letters. A slice shares them.
    """

    def __init__(self, shards: Sequence[str | os.PathLike[str]], indices: Sequence[ShardIndex]):
        """Join the indices of shards.

        Args:
            shards: their paths.
            indices: of each.
        """
        self.shards = tuple(os.fspath(shard) for shard in shards)
        self.broken_part = broken_part_of(self.shards, indices)
        self._starts = np.cumsum([0, *(len(index.places) for index in indices)])
        self._places = np.concatenate([index.places for index in indices])
        self._names = np.concatenate([index.names for index in indices])
        begins = np.cumsum([0, *(len(index.names) for index in indices)])
        ends = [index.name_ends + start for index, start in zip(indices, begins, strict=False)]
        self._name_ends = np.concatenate(ends)
        self._at = range(len(self._places))

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, position: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, position: slice) -> ShardRecords: ...

    def __getitem__(self, position: int | slice) -> dict[str, Any] | ShardRecords:
        """Read the caption of a sample, or take a part of the list.

        Raises:
            FileNotFoundError, ReadError: the shard is gone, or cannot be read.
            ValueError: it has been replaced by another.
        """
        if isinstance(position, slice):
            part = object.__new__(ShardRecords)
            vars(part).update(vars(self), _at=self._at[position])
            return part
        at = self._at[position]
        shard, name = self._shard(at), self._name(at)
        offset, size, *caption = self._places[at].tolist()
        file_name = f"{shard}/{name}"
        with reading(shard, "shard"), Path(shard).open("rb") as file:
            try:
                text = caption_in(file, *caption)
            except ValueError as error:
                raise ValueError(
                    f"expected the caption of {file_name}, got {error}; the shard has changed "
                    "since it was first read: begin again"
                ) from None
        member = Member(shard, offset, size)
        return {"file_name": file_name, "captions": [text], "member": member}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[position] for position in range(len(self)))

    def broken(self, position: int, reason: str) -> Broken:
        """Name a sample that turns out broken."""
        at = self._at[position]
        folder, slash, name = self._name(at).rpartition("/")
        return Broken(self._shard(at), f"{folder}{slash}{name.partition('.')[0]}", reason)

    def _shard(self, at: int) -> str:
        return self.shards[int(np.searchsorted(self._starts, at, side="right")) - 1]

    def _name(self, at: int) -> str:
        start = self._name_ends[at - 1] if at else 0
        name = self._names[start : self._name_ends[at]].tobytes()
        return name.decode("utf-8", "surrogateescape")


def broken_part_of(shards: Sequence[str], indices: Sequence[ShardIndex]) -> BrokenPart:
    """What the indices of shards say is broken.

    A damaged shard counts as many samples as the others have on average; what is missing is lost.
    """
    counts = [len(index.places) + len(index.broken) for index in indices]
    whole = [count for count, index in zip(counts, indices, strict=True) if not index.damage]
    mean = round(sum(whole) / len(whole)) if whole else max(counts)
    damaged: list[Broken] = []
    samples: list[Broken] = []
    lost = 0
    for shard, count, index in zip(shards, counts, indices, strict=True):
        samples += index.broken
        if index.damage:
            damaged.append(Broken(shard, "", index.damage))
            lost += max(mean - count, int(count == 0))
    return BrokenPart((*damaged, *samples), lost, sum(counts) + lost)


def read_member(member: Member, name: str) -> tuple[np.ndarray, int]:
    """Decode a picture of a shard.

    Args:
        member: where it lies.
        name: of the picture, for messages.

    Returns:
        H x W x 3 uint8 in RGB, upright; and the orientation that it had (1: none).

    Raises:
        BrokenPictureError: it cannot be decoded.
        FileNotFoundError, ReadError: the shard is gone, or cannot be read.
    """
    with reading(member.shard, "shard"), Path(member.shard).open("rb") as file:
        file.seek(member.offset)
        content = file.read(member.size)
    try:
        return read_picture(content)
    except ValueError as error:
        reason = _why(error)
        raise BrokenPictureError(
            f"expected a picture in {plain(name, PATH)}, got {reason}; make the shard anew", reason
        ) from error


def _why(error: ValueError) -> str:
    cause = error.__cause__ or error
    # It says where in the memory the file is.
    if isinstance(cause, UnidentifiedImageError):
        return "a file that is no picture"
    return f"a picture that cannot be decoded ({in_one_line(str(cause), 100)})"
