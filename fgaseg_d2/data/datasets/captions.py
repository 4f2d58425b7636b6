"""A dataset of one's own with captions: a table of pictures and what they show, or COCO's."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...io.file_errors import reading
from ...io.regular_files import home_path, require_file
from ...vocabulary.dataset_words import CAPTIONED, OWN_KEY
from ...wording import few, shown
from .catalog import checked_name, replace_dataset
from .coco_captions import read_coco_captions
from .pictures import picture_path, require_pictures

_COLUMNS = ("image", "caption")
_SHOWN = 3  # bad rows in a message


class _Commas(csv.excel):
    """An unclosed quotation mark is an error, not the rest of the file in one caption."""

    strict = True


class _Tabs(csv.excel_tab):
    """Quotation marks are part of the text, as in published lists."""

    quoting = csv.QUOTE_NONE


_FORMS = {".tsv": _Tabs}
_COCO = ".json"


@dataclass(frozen=True)
class _CaptionLoader:
    """Reads the table when the dataset is first needed."""

    name: str
    file: Path
    images: Path
    columns: tuple[str, str]

    def __call__(self) -> list[dict]:
        try:
            if self.file.suffix.lower() == _COCO:
                return read_coco_captions(self.file, self.images)
            return read_captions(self.file, self.images, self.columns)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"dataset {shown(self.name)}: {error}") from None


def register_captions(
    name: str,
    file: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    columns: Sequence[str] = _COLUMNS,
) -> None:
    """Register pictures with captions as a dataset to train on; replaces an earlier call.

    The file is read, and every picture looked for, when the dataset is first used.

    Args:
        name: for DATASETS.TRAIN.
        file: a table with titles in its first line, UTF-8: .csv (commas) or .tsv (tabs), a picture
            and a caption a row; or .json, as COCO has its captions. Of a picture with several
            captions one is drawn each time.
        images: folder that the pictures' paths begin at; None: that of the file. ``~`` is the home
            folder.
        columns: titles of the columns of pictures and of captions in a table.

    Raises:
        ValueError: the name of a dataset that something else registered, no path, or no titles.
    """
    name = checked_name(name, _CaptionLoader)
    table = _path(file, "the path of a table of captions")
    folder = table.parent if images is None else _path(images, "the path of a folder for images")
    if isinstance(columns, str) or len(columns) != 2 or not all(map(_is_title, columns)):
        raise ValueError(
            "expected columns as the titles of two, of pictures and of captions, got "
            f"{shown(columns)}"
        )
    loader = _CaptionLoader(name, table, folder, (columns[0], columns[1]))
    replace_dataset(
        name,
        loader,
        evaluator_type="captions",
        image_root=str(folder),
        **{OWN_KEY: {"kind": CAPTIONED}},
    )


def read_captions(
    file: Path, images: Path, columns: tuple[str, str] = _COLUMNS
) -> list[dict[str, Any]]:
    """Read a table of captions, and see that every picture is there.

    Args:
        file: see :func:`register_captions`.
        images: folder that the pictures' paths begin at.
        columns: titles of the columns of pictures and of captions.

    Returns:
        Dataset records with ``file_name`` and ``captions``, in the order of the table.

    Raises:
        FileNotFoundError: no such table, or a picture is missing.
        ValueError: the file is no such table, or a row of it cannot be used.
    """
    require_file(file, "a table of captions")
    records: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    bad = []
    rows = 0
    for line, row in _rows(file, columns):
        rows += 1
        if isinstance(row, str):
            bad.append(f"line {line}: {row}")
            continue
        name, caption = row
        path = picture_path(name, images)
        if path in records:
            records[path]["captions"].append(caption)
            continue
        records[path] = {"file_name": path, "captions": [caption]}
        places[path] = f"line {line}: "
    if bad:
        raise ValueError(
            f"{file}: expected a picture and a caption in every row, got {len(bad)} other rows of "
            f"{rows}: {few(bad, _SHOWN)}; correct or remove them"
        )
    require_pictures(file, places)
    if not records:
        raise ValueError(f"{file}: expected a row for each picture, got none below the titles")
    return list(records.values())


def _rows(file: Path, columns: tuple[str, str]) -> Iterator[tuple[int, tuple[str, str] | str]]:
    """Number of its last line, and picture and caption of each row or what is wrong with it."""
    try:
        with reading(file), file.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream, dialect=_FORMS.get(file.suffix.lower(), _Commas))
            titles = _titles(table, file, columns)
            for row in table:
                yield table.line_num, _cells(row, titles)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: expected UTF-8 text, got other bytes; save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise ValueError(
            f"{file}, line {table.line_num + 1}: expected a row of a table, got something else "
            f"({error}); quote texts with commas or quotation marks as CSV does"
        ) from error


def _titles(table: csv.DictReader, file: Path, columns: tuple[str, str]) -> tuple[str, str]:
    """The titles of the two columns, as the table spells them."""
    found = {title.strip().lower(): title for title in table.fieldnames or ()}
    try:
        return found[columns[0].strip().lower()], found[columns[1].strip().lower()]
    except KeyError:
        raise ValueError(
            f"{file}: expected the titles {columns[0]} and {columns[1]} in the first line, got "
            f"{few(map(shown, table.fieldnames or ())) or 'none'}; add them, or name yours by "
            "columns"
        ) from None


def _cells(row: Mapping[Any, Any], titles: tuple[str, str]) -> tuple[str, str] | str:
    # Where there are more or fewer cells than titles, the reader's key or value is None.
    if None in row:
        return "more columns than titles (quote a caption with commas)"
    if None in row.values():
        return "fewer columns than titles"
    name, caption = (" ".join(row[title].split()) for title in titles)
    if not name:
        return "no picture"
    return (row[titles[0]].strip(), caption) if caption else "no caption"


def _path(path: Any, what: str) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise ValueError(f"expected {what}, got {shown(path)}")
    return home_path(path)


def _is_title(title: Any) -> bool:
    return isinstance(title, str) and bool(title.strip())
