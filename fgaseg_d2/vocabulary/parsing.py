"""What class lists are made of, and the bundled benchmarks.

A class list is a list of classes in the order of their indices; a class is a tuple of names that
mean the same thing. ``sources`` reads such lists from strings and files.
"""

from __future__ import annotations

import difflib
import json
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from importlib import resources
from itertools import islice
from typing import Any

from ..wording import shown

# Above these, what is given is no class list: the largest published ones have 22,000 names.
MAX_TEXT = 4_000_000  # characters of a string, bytes of a file
MAX_NAMES = 100_000  # of all classes together
MAX_NAME = 4_000  # characters; CLIP reads some 400
# What separates classes; a keyboard gives the comma or semicolon of its script.
COMMAS = ",\uff0c\u3001\uff64\ufe50\ufe51\u060c\u1363"
SEMICOLONS = ";\uff1b\ufe54\u061b\u037e"
BARS = "|\uff5c"

_BLANKS = re.compile(r"[^\S\n\r\v\f\x1c-\x1f\x85\u2028\u2029]+")  # white space but line breaks
# Controls, formats (zero-width blank, byte order mark), lone surrogates, line separators.
_UNPRINTABLE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}  # formats that some scripts and emoji need
_ESCAPED = re.compile(rf"\\([{COMMAS}{SEMICOLONS}{BARS}\\])")


def clean_name(name: object) -> str:
    """Make one blank of several, drop those around the name, and check what is left.

    Raises:
        ValueError: not text, empty, too long, or with characters that cannot be printed.
    """
    if not isinstance(name, str):
        raise ValueError(
            f"expected class names as text, got {reprlib.repr(name)} ({type(name).__name__}); "
            "write it in words"
        )
    cleaned = _BLANKS.sub(" ", name).strip(" ")
    if len(cleaned) > MAX_NAME:
        raise ValueError(
            f"expected names of at most {MAX_NAME:,} characters, got one of {len(cleaned):,} "
            f"({shorten(cleaned)!r}); separate classes with commas, or shorten it"
        )
    for character in cleaned:
        unprintable = unicodedata.category(character) in _UNPRINTABLE_CATEGORIES
        if unprintable and character not in _JOINERS:
            raise ValueError(
                f"expected printable names, got {shorten(cleaned)!r} with {character!r}; separate "
                "classes with commas, or put them in a file, one a line"
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


def clean_threshold(threshold: object) -> float:
    """Make a number of a background threshold.

    Raises:
        ValueError: not a probability, a number in [0, 1].
    """
    try:
        probability = float(threshold)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        probability = -1.0
    if not 0 <= probability <= 1:
        raise ValueError(
            "expected a background threshold, a probability from 0 (off) to 1, got "
            f"{shown(threshold)}; choose one such as 0.3"
        )
    return probability


def listed(items: object, what: str) -> tuple[Any, ...]:
    """Make a tuple of something that has an order.

    Raises:
        ValueError: it has none (a set, a mapping), it is a single thing, or it has no end.
    """
    unordered = isinstance(items, (str, bytes, Mapping, AbstractSet))
    if unordered or not isinstance(items, Iterable):
        raise ValueError(
            f"expected {what} as a list, got {reprlib.repr(items)} ({type(items).__name__}); put "
            "it in a list"
        )
    found = tuple(islice(items, MAX_NAMES + 1))
    check_count(len(found), what)
    return found


def check_count(count: int, what: str) -> None:
    """Refuse more names or classes than any class list has.

    Raises:
        ValueError: there are more.
    """
    if count > MAX_NAMES:
        raise ValueError(f"expected at most {MAX_NAMES:,} {what}, got more; give fewer")


def check_length(text: str) -> None:
    """Refuse a text that is too long for a class list.

    Raises:
        ValueError: it is.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(
            f"expected at most {MAX_TEXT:,} characters of class names, got {len(text):,} "
            f"({shorten(text)!r}); give fewer"
        )


def same_name(name: str) -> str:
    """What two names share when they differ in capital letters, blanks and code points only."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def split_escaped(text: str, separators: str) -> list[str]:
    """Split at separators (one character each) that no backslash precedes; backslashes stay."""
    parts, start = [], 0
    for found in re.finditer(rf"\\.|[{re.escape(separators)}]", text, flags=re.DOTALL):
        if not found[0].startswith("\\"):
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def split_synonyms(text: str) -> tuple[str, ...]:
    r"""Split "cat|kitten" into cleaned names; ``\,``, ``\|`` and ``\\`` lose their backslash.

    Raises:
        ValueError: a name that :func:`clean_name` refuses.
    """
    names = (clean_name(part) for part in split_escaped(text, BARS))
    return tuple(_ESCAPED.sub(r"\1", name) for name in names)


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
        ValueError: there is one, or a semicolon, of any script.
    """
    for item in items:
        if isinstance(item, str) and len(split_escaped(item, COMMAS + SEMICOLONS)) > 1:
            raise ValueError(
                f"expected one class each in a list, got {shorten(item)!r}; give one class each, "
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
        first = seen.get(same_name(name))
        if first is not None:
            raise ValueError(
                f"expected every name once, got {shorten(first)!r} and {shorten(name)!r}; remove "
                "one"
            )
        seen[same_name(name)] = name
    return classes


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
    return resources.files("fgaseg_d2") / "vocabulary" / "lists"


def shorten(text: str, length: int = 60) -> str:
    """The begin of a text, for a message."""
    return text if len(text) <= length else text[: length - 3] + "..."
