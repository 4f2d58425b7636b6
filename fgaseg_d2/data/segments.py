"""The segments of a record: a mask and its texts each, as a dataset of segments has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
    rle = segment.get("rle")
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        raise ValueError(
            f'{where}: expected "rle" as a dict with "size" and "counts", got {shown(rle)}; '
            "correct the segment"
        )
    if tuple(rle["size"]) != size:
        raise ValueError(
            f"{where}: expected a mask of the picture's {size[0]} x {size[1]} pixels (height x "
            f"width), got {shown(rle['size'])}; correct the segment"
        )
    runs = rle["counts"]
    if isinstance(runs, (str, bytes)):
        runs = _decompressed(runs.encode() if isinstance(runs, str) else runs)
    if not isinstance(runs, (list, tuple)) or not all(map(_is_length, runs)):
        raise ValueError(
            f'{where}: expected "counts" as runs of 0 or more pixels, got {shown(rle["counts"])}; '
            "correct the segment"
        )
    pixels = size[0] * size[1]
    if sum(runs) != pixels:
        raise ValueError(
            f"{where}: expected runs of {pixels} pixels together, got {sum(runs)}; correct the "
            "segment"
        )
    # Runs of 0 and of 1 take turns, down the columns.
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.ascontiguousarray(np.repeat(values, runs).reshape(size[::-1]).T)


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


def _is_length(run: Any) -> bool:
    return isinstance(run, (int, np.integer)) and int(run) >= 0


def _decompressed(text: bytes) -> list[int] | None:
    """Runs of COCO's compressed form; None for what is none.

    pycocotools reads it as well, but gives whatever lay in memory where a text is too short.
    Each number has 5 bits a character, the lowest first, and a sign; from the fourth on it is the
    difference to the run two before.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        digit = character - 48
        if not 0 <= digit < 64:
            return None
        number |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    return None if shift else runs
