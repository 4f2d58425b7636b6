"""COCO's captions, such as captions_train2017.json: pictures by number, and captions of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...io.json_files import read_json
from ...io.regular_files import require_file
from ...wording import few, shown
from .pictures import picture_path, require_pictures

_SHOWN = 3  # bad entries in a message
_LISTS = ("images", "annotations")


def read_coco_captions(file: Path, images: Path) -> list[dict[str, Any]]:
    """Read a file of captions in COCO's form, and see that every picture is there.

    Args:
        file: JSON with ``images`` ({"id", "file_name"}) and ``annotations`` ({"image_id",
            "caption"}).
        images: folder that the pictures' paths begin at.

    Returns:
        Dataset records with ``file_name`` and ``captions``, in the order of the pictures; pictures
        without a caption are left out.

    Raises:
        FileNotFoundError: no such file, or a picture is missing.
        ValueError: the file is of another form, or an entry of it cannot be used.
    """
    require_file(file, "a file of captions")
    try:
        content = read_json(file)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    pictures, annotations = _lists(content, file)
    names: dict[Any, str] = {}
    bad = list(_read_pictures(pictures, names))
    captions: dict[Any, list[str]] = {number: [] for number in names}
    bad += _read_annotations(annotations, captions)
    if bad:
        raise ValueError(
            f"{file}: expected pictures with a number and a file's name, and captions of them, got "
            f"{len(bad)} other entries: {few(bad, _SHOWN)}; correct or remove them"
        )
    paths = {
        number: picture_path(names[number], images) for number, texts in captions.items() if texts
    }
    if not paths:
        raise ValueError(f"{file}: expected a caption of some picture, got none")
    require_pictures(file, dict.fromkeys(paths.values(), ""))
    return [{"file_name": path, "captions": captions[number]} for number, path in paths.items()]


def _lists(content: Any, file: Path) -> tuple[list[Any], list[Any]]:
    pictures, annotations = (_value(content, key) for key in _LISTS)
    if not isinstance(pictures, list) or not isinstance(annotations, list):
        keys = few(map(shown, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(
            f"{file}: expected COCO's captions, a dict with the lists {' and '.join(_LISTS)}, got "
            f"{keys}; take captions_train2017.json or the like"
        )
    return pictures, annotations


def _read_pictures(pictures: list[Any], names: dict[Any, str]) -> Iterator[str]:
    """Fill in names by number; yields what is wrong."""
    for position, entry in enumerate(pictures):
        number, name = (_value(entry, key) for key in ("id", "file_name"))
        where = f"images[{position}]"
        if not isinstance(number, (int, str)):
            yield f"{where}: no id"
        elif not isinstance(name, str) or not name.strip():
            yield f"{where}: no file_name"
        elif number in names:
            yield f"{where}: the id {shown(number)} a second time"
        else:
            names[number] = name


def _read_annotations(annotations: list[Any], captions: dict[Any, list[str]]) -> Iterator[str]:
    """Fill in captions by number; yields what is wrong."""
    for position, entry in enumerate(annotations):
        number, text = (_value(entry, key) for key in ("image_id", "caption"))
        where = f"annotations[{position}]"
        if not isinstance(text, str) or not text.strip():
            yield f"{where}: no caption"
        elif not isinstance(number, (int, str)) or number not in captions:
            yield f"{where}: the image_id {shown(number)}, which no picture has"
        else:
            captions[number].append(" ".join(text.split()))


def _value(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, Mapping) else None
