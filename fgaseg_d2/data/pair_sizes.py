"""Whether a picture and its label file have one size and lie the same way up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..io import orientation
from ..io.orientation import UPRIGHT
from ..wording import shown


@dataclass(frozen=True)
class Found:
    """What was found in a file.

    Attributes:
        name: of the file.
        size: height and width in pixels, upright.
        tag: the orientation that the file had, 1 for none.
    """

    name: str
    size: tuple[int, int]
    tag: int = UPRIGHT


def check_pair(picture: Found, label: Found) -> None:
    """Compare a picture with its label file; both were turned as their tags say.

    A label that was drawn on the picture as people see it needs no tag, and where the sides were
    swapped the sizes show that it was. Where only one file has a tag and the sizes fit either way,
    nothing shows it.

    Raises:
        ValueError: sizes differ, or it cannot be known which way up the label was drawn.
    """
    if picture.size != label.size:
        advice = "give both the tag, or save both upright without one"
        raise ValueError(_mismatch(picture, label, f"its label file {label.name}", advice))
    if (picture.tag == UPRIGHT) == (label.tag == UPRIGHT):
        return
    tag = label.tag if picture.tag == UPRIGHT else picture.tag
    if orientation.swaps_sides(tag) and picture.size[0] != picture.size[1]:
        return
    tagged, plain = (picture, label) if label.tag == UPRIGHT else (label, picture)
    raise ValueError(
        f"{tagged.name} has the orientation tag {tag}, {plain.name} has none, and their sizes do "
        "not tell which way up the label was drawn; give both the tag, or save both upright "
        "without one (PIL.ImageOps.exif_transpose)"
    )


def check_record(picture: Found, record: Mapping[str, Any]) -> None:
    """Compare a picture with the "height" and "width" of its dataset record, if it has them.

    Raises:
        ValueError: they differ.
    """
    height, width = picture.size
    stated = record.get("height", height), record.get("width", width)
    for value in stated:
        if not isinstance(value, (int, np.integer, float)):
            raise ValueError(
                f"expected height and width of {shown(picture.name, 250)} in its dataset record "
                f"as whole numbers, got {shown(value)}; correct the record"
            )
    if picture.size != stated:
        advice = "state the upright size, or save the picture upright without the tag"
        raise ValueError(_mismatch(picture, Found("", stated), "its dataset record", advice))


def check_prediction(prediction: Found, truth: Found) -> None:
    """Compare a saved prediction with the label file that it is scored against.

    Raises:
        ValueError: sizes differ.
    """
    if prediction.size != truth.size:
        height, width = truth.size
        raise ValueError(
            f"expected {height} x {width} pixels as in the truth{orientation.note(truth.tag)}, got "
            f"{prediction.size[0]} x {prediction.size[1]} in {prediction.name}"
            f"{orientation.note(prediction.tag)}; predict again"
        )


def _mismatch(picture: Found, other: Found, where: str, advice: str) -> str:
    height, width = picture.size
    text = (
        f"picture {picture.name} has {height} x {width} pixels (height x width)"
        f"{orientation.note(picture.tag)}, but {where} says {other.size[0]} x {other.size[1]}"
        f"{orientation.note(other.tag)}; both must be equal"
    )
    return text if picture.tag == other.tag == UPRIGHT else f"{text}: {advice}"
