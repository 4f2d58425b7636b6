"""Class lists out of a string or a file, in any of the forms that people write them in."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

from ..io.regular_files import home_path, require_file
from .parsing import (
    COMMAS,
    MAX_TEXT,
    SEMICOLONS,
    check_length,
    check_unique,
    shorten,
    split_escaped,
    split_synonyms,
)
from .structures import read_json, read_yaml
from .tables import cells, read_lines, read_table, without_numbers, without_quotes

_TEXT, _JSON, _YAML, _TABLE = (".txt",), (".json",), (".yaml", ".yml"), (".csv", ".tsv")
# Longer ones first: the mark of UTF-32 begins as that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def split_classes(text: str) -> list[tuple[str, ...]]:
    """Split "cat|kitten, dog" into classes and check that no name occurs twice.

    Commas of other scripts count as commas, and semicolons do where there are no commas; one may
    follow the last class. A list in brackets is read as YAML, and numbers before all names, as in
    "0: cat, 1: dog", say the order.

    Raises:
        ValueError: nothing, an empty name, a name twice, an unprintable character, too long a text,
            commas and semicolons, or words between points.
    """
    check_length(text)
    if not text.strip():
        raise ValueError("expected words such as 'cat,dog', got nothing; name at least one class")
    try:
        if re.fullmatch(r"\[.*\]|\{.*\}", text.strip(), re.DOTALL):
            return read_yaml(text)
        parts = without_quotes([part.strip() for part in _split(text)])
        return check_unique(map(split_synonyms, without_numbers(parts, in_words=True)))
    except ValueError as error:
        raise ValueError(f"{error} (in {shorten(text)!r})") from error


def _split(text: str) -> list[str]:
    if '"' in text and len(quoted := cells(text, ",")) > 1:
        return quoted
    commas, semicolons = split_escaped(text, COMMAS), split_escaped(text, SEMICOLONS)
    if len(commas) > 1 and len(semicolons) > 1:
        raise ValueError(
            "expected commas or semicolons between classes, got both; write a comma between "
            r"classes, | between synonyms, and \; for a semicolon inside a name"
        )
    parts = commas if len(commas) > 1 else semicolons
    # As one writes lists in code.
    if len(parts) > 1 and not parts[-1].strip():
        parts = parts[:-1]
    if len(parts) == 1 and re.search(r"\s\.(\s|$)|\.\s.*\.$", text.strip()):
        raise ValueError("expected commas between classes, got points; write a comma instead")
    return parts


def read_class_file(path: str | os.PathLike[str]) -> list[tuple[str, ...]]:
    r"""Read a class list from a file, UTF-8 or UTF-16 with its mark.

    * .json, .yaml, .yml: a list of names, a list of lists (synonyms), COCO's list of
      {"id": ..., "name": ...}, a mapping of numbers and names, or one of these under "names" (as
      Ultralytics has it), "categories", "id2label" and the like. Under "classes", the format of the
      bundled benchmarks, a name may occur in several classes.
    * .csv, .tsv: a column of names and at most one of numbers, with titles or without.
    * Any other: one class a line, ``|`` between synonyms and ``\,`` for a comma in a name; or a
      table; or a list in brackets. Blank lines, lines that begin with ``#`` and what follows a
      blank and ``#`` are skipped.

    Numbers beside all names, as in "0: cat", say the order of the classes: 0 to N - 1 or 1 to N,
    without gaps.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a class list; the message begins with the path.
    """
    path = home_path(path)
    require_file(path, "a file with a class list")
    try:
        classes = _parse(_read_text(path), path.suffix.lower())
        if not classes:
            raise ValueError("expected at least one class, got none; write one class a line")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return classes


def looks_like_file(text: str) -> bool:
    """Whether a string is meant as the path of a class list."""
    stem, ending = os.path.splitext(text.strip().lower())
    if ending in _TEXT + _JSON + _YAML + _TABLE:
        return True
    # A bare word stays a word even where a file of that name happens to lie.
    return bool(ending or os.path.dirname(stem)) and os.path.isfile(os.path.expanduser(text))


def read_names(words: str) -> tuple[str, ...]:
    """Names of classes: "a,b", or a file with one class a line; none for no text.

    Raises:
        ValueError: not a list of names.
        FileNotFoundError: no such file.
    """
    if not words:
        return ()
    is_file = looks_like_file(words) or os.path.isfile(os.path.expanduser(words))
    classes = read_class_file(words) if is_file else split_classes(words)
    return tuple(", ".join(names) for names in classes)


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise ValueError(
            f"expected a class list of at most {MAX_TEXT:,} bytes, got a larger file; keep the "
            "names only"
        )
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    try:
        text = content.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("expected UTF-8 text, got other bytes; save it as UTF-8") from error
    # Line ends of Windows and of old Macs.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parse(text: str, ending: str) -> list[tuple[str, ...]]:
    if ending in _JSON:
        return read_json(text)
    if ending in _YAML:
        return read_yaml(text)
    # Whatever the ending, "[" begins no class in most lists.
    if re.fullmatch(r"\s*(\[.*\]|\{.*\})\s*", text, re.DOTALL) and "\n[" not in text:
        return read_json(text) if '"' in text else read_yaml(text)
    bare = (re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.split("\n"))
    lines = [line for line in bare if line]
    if not lines:
        return []
    names = read_table(lines) if ending in _TABLE else read_lines(lines)
    return check_unique(map(split_synonyms, names))
