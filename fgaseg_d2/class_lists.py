"""Reads class lists: strings, files and the bundled benchmarks.

A class list is a list of classes in the order of their indices; a class is a tuple of names that
mean the same thing.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from importlib import resources
from pathlib import Path
from typing import Any

_BLANKS = re.compile(r"[^\S\n\r\v\f\x1c-\x1f\x85\u2028\u2029]+")  # white space but line breaks
_UNPRINTABLE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}  # controls, lone surrogates, line separators
_UNPRINTABLE_CHARACTERS = {"\u200b", "\ufeff"}  # zero-width blank, byte order mark


def clean_name(name: object) -> str:
    """Make one blank of several, drop those around the name, and check what is left.

    Raises:
        ValueError: not text, empty, or with characters that cannot be printed.
    """
    if not isinstance(name, str):
        raise ValueError(
            f"expected class names as text, got {name!r} ({type(name).__name__}); write it in words"
        )
    cleaned = _BLANKS.sub(" ", name).strip(" ")
    for character in cleaned:
        unprintable = unicodedata.category(character) in _UNPRINTABLE_CATEGORIES
        if unprintable or character in _UNPRINTABLE_CHARACTERS:
            raise ValueError(
                f"expected printable names, got {cleaned!r} with {character!r}; separate classes "
                "with commas, or put them in a file, one a line"
            )
    if not cleaned:
        raise ValueError("expected a class name, got an empty one; remove the extra separator")
    return cleaned


def clean_class(names: str | Iterable[str]) -> tuple[str, ...]:
    """Clean every name of a class; text stands for a class with this one name.

    Raises:
        ValueError: no name, or a name that :func:`clean_name` refuses.
    """
    names = (names,) if isinstance(names, str) else listed(names, "the names of a class")
    if not names:
        raise ValueError("expected at least one name for every class, got none; name or remove it")
    return tuple(dict.fromkeys(clean_name(name) for name in names))


def listed(items: object, what: str) -> tuple[Any, ...]:
    """Make a tuple of something that has an order.

    Raises:
        ValueError: it has none (a set, a mapping), or it is a single thing.
    """
    unordered = isinstance(items, (str, bytes, Mapping, AbstractSet))
    if unordered or not isinstance(items, Iterable):
        raise ValueError(
            f"expected {what} as a list, got {items!r} ({type(items).__name__}); put it in a list"
        )
    return tuple(items)


def same_name(name: str) -> str:
    """What two names share when they differ in capital letters and blanks only."""
    return " ".join(name.casefold().split())


def split_escaped(text: str, separator: str) -> list[str]:
    """Split at a separator that no backslash precedes; the backslashes stay."""
    parts = [""]
    for piece in re.findall(r"\\.|[^\\]|\\$", text, flags=re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def split_synonyms(text: str) -> tuple[str, ...]:
    r"""Split "cat|kitten" into cleaned names; ``\,``, ``\|`` and ``\\`` lose their backslash.

    Raises:
        ValueError: a name that :func:`clean_name` refuses.
    """
    names = (clean_name(part) for part in split_escaped(text, "|"))
    return tuple(re.sub(r"\\([,|\\])", r"\1", name) for name in names)


def split_classes(text: str) -> list[tuple[str, ...]]:
    """Split "cat|kitten, dog" into classes and check that no name occurs twice.

    Raises:
        ValueError: nothing, an empty name, a name twice, or an unprintable character.
    """
    if not text.strip():
        raise ValueError("expected words such as 'cat,dog', got nothing; name at least one class")
    try:
        return check_unique(split_synonyms(part) for part in split_escaped(text, ","))
    except ValueError as error:
        raise ValueError(f"{error} (in {_shorten(text)!r})") from error


def read_classes(items: Iterable[str | Iterable[str]]) -> list[tuple[str, ...]]:
    """Read classes one by one: "cat", "cat|kitten" or ["cat", "kitten"]; a comma is literal.

    Raises:
        ValueError: not an ordered collection, or a name that :func:`clean_name` refuses.
    """
    return [
        split_synonyms(item) if isinstance(item, str) else clean_class(item)
        for item in listed(items, "class names")
    ]


def check_commas(items: Iterable[object]) -> None:
    r"""Refuse text with a comma that no backslash precedes: mostly several classes were meant.

    Raises:
        ValueError: there is one.
    """
    for item in items:
        if isinstance(item, str) and len(split_escaped(item, ",")) > 1:
            raise ValueError(
                f"expected one class each in a list, got {_shorten(item)!r}; give one class each, "
                r"or a single string for all, or write \, for a comma inside a name"
            )


def check_unique(classes: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the classes as a list.

    Raises:
        ValueError: a name occurs twice, capital letters and blanks aside.
    """
    classes = list(classes)
    seen: dict[str, str] = {}
    for name in (name for names in classes for name in names):
        first = seen.setdefault(same_name(name), name)
        if first is not name:
            raise ValueError(f"expected every name once, got {first!r} and {name!r}; remove one")
    return classes


def read_class_file(path: str | os.PathLike[str]) -> list[tuple[str, ...]]:
    """Read a class list from a UTF-8 file, in one of the formats of ``Vocabulary.from_file``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a class list; the message begins with the path.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(
            f"expected a file with a class list at {str(path)!r}, got {found}; check the path"
        )
    parse = _parse_json if path.suffix.lower() == ".json" else _parse_lines
    try:
        classes = parse(path.read_text(encoding="utf-8-sig"))
        if not classes:
            raise ValueError("expected at least one class, got none; write one class a line")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8 text, got other bytes; save it as UTF-8"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return classes


def looks_like_file(text: str) -> bool:
    """Whether a string is meant as the path of a class list."""
    stem, ending = os.path.splitext(text.strip().lower())
    if ending in (".txt", ".json"):
        return True
    # A bare word stays a word even where a file of that name happens to lie.
    return bool(ending or os.path.dirname(stem)) and os.path.isfile(os.path.expanduser(text))


def _parse_lines(text: str) -> list[tuple[str, ...]]:
    bare = (re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.split("\n"))
    lines = [line for line in bare if line]
    for line in lines:
        if len(split_escaped(line, ",")) > 1:
            raise ValueError(
                f"expected one class a line, got {_shorten(line)!r}; put each class on its own "
                r"line, with | between synonyms and \, for a comma inside a name"
            )
    return check_unique(split_synonyms(line) for line in lines)


def _parse_json(text: str) -> list[tuple[str, ...]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, got an error ({error}); correct the file") from error
    if isinstance(content, list):
        return check_unique(read_classes(content))
    if isinstance(content, dict) and isinstance(content.get("classes"), list):
        return read_classes(content["classes"])
    raise ValueError(
        'expected a list of names, a list of lists, or {"classes": [...]}, got '
        f"{_shorten(text)!r}; write one of these"
    )


def benchmark_names() -> list[str]:
    """Names of the bundled class lists, sorted."""
    files = (file.name for file in _benchmark_folder().iterdir())
    return sorted(name.removesuffix(".json") for name in files if name.endswith(".json"))


def nearest_benchmark(name: str) -> str | None:
    """The bundled class list whose name is most like this one, None if none is."""
    return next(iter(difflib.get_close_matches(name, benchmark_names(), n=1, cutoff=0.75)), None)


def read_benchmark(name: str) -> dict[str, Any]:
    """Read a bundled class list with all that comes with it.

    Args:
        name: one of :func:`benchmark_names`.

    Returns:
        "classes" (lists of names), "ignore_label", "source"; "raw_values" (what stands for each
        class in the downloaded label files) where these follow no rule; and for pascal_voc_20b
        the rule that turns its 59 classes into the 21 of the evaluation.

    Raises:
        ValueError: unknown benchmark.
    """
    known = benchmark_names()
    if name not in known:
        near = nearest_benchmark(name)
        hint = f"did you mean {near!r}?" if near else "take one of these"
        raise ValueError(f"expected a benchmark of {', '.join(known)}, got {name!r}; {hint}")
    return json.loads((_benchmark_folder() / f"{name}.json").read_text(encoding="utf-8"))


def _benchmark_folder() -> Any:
    return resources.files("fgaseg_d2") / "data" / "vocabularies"


def _shorten(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
