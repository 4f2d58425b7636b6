"""A dataset of one's own with captions: shards as webdataset and img2dataset write them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ...vocabulary.dataset_words import CAPTIONED, OWN_KEY
from ...wording import shown
from ..shards.finding import checked_shards, find_shards
from ..shards.kept_indices import indices_of
from ..shards.records import ShardRecords
from .catalog import checked_name, replace_dataset


@dataclass(frozen=True)
class _ShardLoader:
    """Looks for the shards, and reads where their samples are, when the dataset is first needed."""

    name: str
    shards: tuple[str, ...]

    def __call__(self) -> ShardRecords:
        try:
            paths = find_shards(self.shards)
            records = ShardRecords(paths, indices_of(paths, f"{self.name}, what is in it"))
            if not len(records):
                raise ValueError(
                    f"expected whole samples in {len(paths)} shards, but "
                    f"{records.broken_part.text()}; look at how they were made"
                )
            return records
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"dataset {shown(self.name)}: {error}") from None


def register_caption_shards(
    name: str, shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
) -> None:
    """Register shards of pictures with captions as a dataset to train on; replaces an earlier call.

    A sample is what webdataset makes of a shard: neighboring files with one name, a picture (.jpg,
    .png, .webp and others) and its caption in UTF-8 (.txt). Other files are passed over.

    Args:
        name: for DATASETS.TRAIN.
        shards: a folder of .tar files; a path with braces, such as ``cc3m/{00000..00331}.tar``, or
            with * and ?; a .tar file; a text file with any of these a line; or a list of these.
            ``~`` is the home folder.

    Raises:
        ValueError: the name of a dataset that something else registered, or no path.
    """
    name = checked_name(name, _ShardLoader)
    loader = _ShardLoader(name, tuple(checked_shards(shards)))
    replace_dataset(
        name,
        loader,
        evaluator_type="captions",
        caption_shards=loader.shards,
        **{OWN_KEY: {"kind": CAPTIONED}},
    )
