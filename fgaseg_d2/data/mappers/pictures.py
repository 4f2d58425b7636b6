"""The picture that a record names, of whatever kind the record is."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..dataset_files import read_dataset_picture
from ..pair_sizes import Found, check_record
from ..shards.records import read_member

# What a model reads in its input as requests. In a record of a dataset they mean something else.
_REQUESTS = ("output", "scale")


def opened_record(record: Mapping[str, Any]) -> tuple[dict[str, Any], np.ndarray, Found]:
    """Read the picture of a record.

    Args:
        record: a dataset dict with ``file_name`` and possibly ``height`` and ``width``; of a shard
            with ``member``, where the picture lies in it.

    Returns:
        A copy of the record with ``height`` and ``width`` of the picture file in pixels; the
        picture, H x W x 3 uint8 in RGB; and what was found in the file.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is damaged, or of another size than the record says.
    """
    item = {key: value for key, value in record.items() if key not in _REQUESTS}
    name = os.fsdecode(item["file_name"])
    member = item.pop("member", None)
    image, tag = read_dataset_picture(name) if member is None else read_member(member, name)
    height, width = image.shape[:2]
    picture = Found(name, (height, width), tag)
    check_record(picture, item)
    return item | {"height": height, "width": width}, image, picture
