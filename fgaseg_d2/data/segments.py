"""The segments of a record: a mask and its texts each, as a dataset of segments has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..io.coco_masks import decoded_mask
from ..io.segment_files import WEIGHTS, is_weight
from ..wording import shown


def segment_mask(segment: Mapping[str, Any], size: tuple[int, int], where: str) -> np.ndarray:
    """The mask of a segment.

    Args:
        segment: its "rle" is COCO's run-length encoding, compressed (text or bytes) or not (a
            list): ``{"size": [height, width], "counts": ...}``.
        size: height and width of the picture.
        where: what messages call the segment.

    Returns:
        H x W uint8, 0 or 1.

    Raises:
        ValueError: no such encoding, or of another size.
    """
    return decoded_mask(segment.get("rle"), size, where)


def segment_texts(segment: Mapping[str, Any], where: str) -> list[str]:
    """The texts of a segment, each a text or a dict with the text as "t".

    Raises:
        ValueError: none, or something else.
    """
    texts = segment.get("texts")
    if not isinstance(texts, (list, tuple)) or not texts:
        raise ValueError(
            f'{where}: expected "texts" as a list with a text or more, got {shown(texts)}; correct '
            "the segment"
        )
    found = [text.get("t") if isinstance(text, Mapping) else text for text in texts]
    for text in found:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{where}: expected texts, got {shown(text)}; correct the segment")
    return [str(text) for text in found]


def text_weights(segment: Mapping[str, Any], where: str) -> list[float]:
    """How much oftener than others each text of a segment is drawn in training: its "weight", or 1.

    Raises:
        ValueError: one that is no number above 0, or above 1,000,000.
    """
    texts = segment["texts"]
    weights = [text.get("weight", 1) if isinstance(text, Mapping) else 1 for text in texts]
    for weight in weights:
        if not is_weight(weight):
            raise ValueError(
                f'{where}: expected "weight" of a text as a number {WEIGHTS}, got '
                f"{shown(weight)}; correct the segment"
            )
    return [float(weight) for weight in weights]


def check_segments(dataset_name: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Check the texts of all segments of a dataset's records; masks are read with their pictures.

    Raises:
        ValueError: a segment is no dict, or its texts are none.
    """
    for position, record in enumerate(records):
        for number, segment in enumerate(record["segments"]):
            where = f"dataset {shown(dataset_name)}: record {position}, segment {number}"
            if not isinstance(segment, Mapping):
                raise ValueError(f"{where}: expected a dict, got {shown(segment)}")
            segment_texts(segment, where)
            text_weights(segment, where)
