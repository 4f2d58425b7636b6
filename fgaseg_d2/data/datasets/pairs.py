"""Pairs the pictures of one folder with the label files of another, by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...io.regular_files import kind_of_file
from ...wording import PATH, plain

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
# Formats that keep every value. JPEG blurs class numbers, so it is no format for labels.
LABEL_ENDINGS = (".png", ".tif", ".tiff", ".bmp")
_SHOWN = 3  # names in a message


def paired_files(images: Path, labels: Path) -> tuple[list[dict], list[str]]:
    """List every label file with the picture of the same name.

    Folders within the folders count: ``b/c.png`` belongs to ``b/c.jpg``. Hidden files and folders
    are left out, unfinished files of :func:`fgaseg_d2.io.files.atomic_path` among them.

    Args:
        images: folder of pictures (:data:`PICTURE_ENDINGS`).
        labels: folder of label files (:data:`LABEL_ENDINGS`).

    Returns:
        Dataset records with ``file_name`` and ``sem_seg_file_name``, sorted by name; and the names
        of the pictures that have no label file.

    Raises:
        FileNotFoundError: one of the folders is not there.
        ValueError: no label files, label files without a picture, or two files of one name.
    """
    label_files = _by_name(labels, LABEL_ENDINGS, "label files")
    if not label_files:
        jpeg = _by_name(labels, (".jpg", ".jpeg"), "label files")
        found = "only JPEG, which blurs class numbers" if jpeg else "none"
        raise ValueError(f"{labels}: expected label files ({_endings(LABEL_ENDINGS)}), got {found}")
    pictures = _by_name(images, PICTURE_ENDINGS, "pictures")
    if not pictures:
        raise ValueError(f"{images}: expected pictures ({_endings(PICTURE_ENDINGS)}), got none")
    lonely = sorted(label_files.keys() - pictures.keys())
    if lonely:
        raise ValueError(
            f"expected a picture of the same name in {images} for each of {len(label_files)} label "
            f"files in {labels}, got none for {_few(label_files, lonely)}; the pictures there are "
            f"called such as {_few(pictures, sorted(pictures)[:1])}"
        )
    records = [
        {"file_name": str(pictures[name]), "sem_seg_file_name": str(label_files[name])}
        for name in sorted(label_files)
    ]
    unlabelled = sorted(pictures.keys() - label_files.keys())
    return records, [str(pictures[name].relative_to(images)) for name in unlabelled]


def few(names: Iterable[str]) -> str:
    """The first names of a list, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _few(files: Mapping[str, Path], names: Iterable[str]) -> str:
    return few(files[name].name for name in names)


def _endings(endings: Iterable[str]) -> str:
    return ", ".join(endings)


def _by_name(folder: Path, endings: tuple[str, ...], what: str) -> dict[str, Path]:
    """Files below a folder by their path in it, without the ending."""
    found = kind_of_file(folder)
    if found != "a folder":
        raise FileNotFoundError(
            f"expected a folder of {what} at {plain(folder, PATH)}, got {found}; check the path"
        )
    files: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            stem, ending = os.path.splitext(name)
            if name.startswith(".") or ending.lower() not in endings:
                continue
            path = Path(parent, name)
            key = path.relative_to(folder).with_name(stem).as_posix()
            other = files.setdefault(key, path)
            if other is not path:
                raise ValueError(
                    f"expected one file of each name in {folder}, got {other.name} and {name}; "
                    "remove one"
                )
    return files
