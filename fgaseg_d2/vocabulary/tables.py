"""Class lists as people write them: one class a line, numbered or not, or a table with columns.

Where a number stands beside each name, the numbers say the order of the classes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from .parsing import BARS, COMMAS, SEMICOLONS, same_name, shorten, split_escaped

# Titles of the columns of a table, the likeliest first.
_NAME_TITLES = ("name", "names", "class_name", "classname", "category_name", "class", "category",
                "label")  # fmt: skip
_NUMBER_TITLES = ("id", "index", "idx", "class_id", "category_id", "label_id", "number", "trainid",
                  "train_id", "label", "class", "category", "")  # fmt: skip
_BULLET = re.compile(r"[-*\u2022]\s+(?=\S)")
_WORDNET_ID = re.compile(r"n\d{8}[\s:]\s*(?=\S)")  # ImageNet's lists have one before each name
_QUOTED = re.compile(r"""(["'])(.*)\1""")
_LITERAL = re.compile(rf"(?<!\\)([{COMMAS}{SEMICOLONS}{BARS}])")
# "0: cat", "0) cat", "[0] cat", "0 = cat", but not "16:9 screen".
_MARKED_NUMBER = re.compile(r"[(\[]?(-?\d+)\s*[:=)\]](?!\s*\d)\s*(.+)")
_BARE_NUMBER = re.compile(r"(\d+)(?:\.\s|\s-\s|\s)\s*(.*[^\W\d].*)")
_MARKED_NUMBER_BEHIND = re.compile(r"(.*[^\W\d_])\s*[:=]\s*(-?\d+)")
_BARE_NUMBER_BEHIND = re.compile(r"(.*[^\W\d])\s+(\d+)")


def read_lines(lines: Sequence[str]) -> list[str]:
    r"""Names out of lines of text, in the order of the classes, with their ``|`` and backslashes.

    Understood are a name a line; with quotes around or a bullet before every one; with a number
    before or behind every one; and columns, of which one holds the names and one may hold numbers.

    Args:
        lines: without blank ones and comments.

    Raises:
        ValueError: several names in a line, or numbers that are not those of the classes.
    """
    lines = [_without_last_separator(line.strip()) for line in lines]
    for prefix in (_BULLET, _WORDNET_ID):
        if all(prefix.match(line) for line in lines):
            lines = [prefix.sub("", line, count=1) for line in lines]
    lines = without_quotes(lines)
    separators = [
        separator
        for separator in ("\t", *SEMICOLONS, *COMMAS)
        if any(separator in line and len(cells(line, separator)) > 1 for line in lines)
    ]
    if separators:
        return _read_columns([cells(line, separators[0]) for line in lines], lines)
    return without_numbers(lines)


def read_table(lines: Sequence[str]) -> list[str]:
    """Names out of a CSV or TSV file; as :func:`read_lines`, and one column may have a title."""
    if len(lines) > 1 and without_quotes([lines[0].strip().lower()])[0] in _NAME_TITLES:
        lines = lines[1:]
    return read_lines(lines)


def without_quotes(names: Sequence[str]) -> list[str]:
    """Take the quotes away if every name has them; separators in them get a backslash."""
    found = [_QUOTED.fullmatch(name) for name in names]
    bare = [_literal(match[2]) for match in found if match and match[1] not in match[2]]
    return bare if len(bare) == len(names) else list(names)


def _literal(name: str) -> str:
    return _LITERAL.sub(r"\\\1", name)


def without_numbers(names: Sequence[str], in_words: bool = False) -> list[str]:
    """Order names by the number before or behind each of them, which goes away.

    Args:
        names: with a number each, or without.
        in_words: the names come from a list in one line, where "2 cats" is a name.

    Raises:
        ValueError: some of them have a number that is marked as one ("3: cat") and others have
            none, or the numbers are not those of the classes.
    """
    for pattern, number, name in ((_MARKED_NUMBER, 1, 2), (_MARKED_NUMBER_BEHIND, 2, 1)):
        found = [match for text in names if (match := pattern.fullmatch(text))]
        if found and len(found) == len(names):
            return in_order([(int(match[number]), match[name]) for match in found])
        if found:
            raise ValueError(
                f"expected a number at every class or at none, got {shorten(found[0][0])!r} among "
                f"{len(names)} of which {len(found)} have one; write the names alone, in order"
            )
    return list(names) if in_words else _without_bare_numbers(names)


def _without_bare_numbers(names: Sequence[str]) -> list[str]:
    """Numbers that only a blank parts from the name may belong to it, as in "7 eleven"."""
    found = [match for text in names if (match := _BARE_NUMBER.fullmatch(text))]
    if len(found) == len(names):
        numbered = [(int(match[1]), match[2]) for match in found]
        if any(re.match(r"\d+\s", name) for _, name in numbered):
            raise _several_in(names[0])
        if len(names) > 1 or numbered[0][0] == 0:
            return in_order(numbered)
    if all(re.search(r"\s\d+\s+\d+$", name) for name in names):
        raise _several_in(names[0])
    found = [match for text in names if (match := _BARE_NUMBER_BEHIND.fullmatch(text))]
    stems = [same_name(name) for match in found for name in split_escaped(match[1], BARS)]
    # "word 1", "word 2" are names, and so are "thing 1|word 1", "thing 2|word 2".
    if len(names) > 1 and len(found) == len(names) and len(set(stems)) == len(stems):
        return in_order([(int(match[2]), match[1]) for match in found])
    return list(names)


def in_order(numbered: Sequence[tuple[int, str]]) -> list[str]:
    """Names in the order of their numbers, which are 0 to N - 1 or 1 to N.

    Raises:
        ValueError: a number is missing, twice there, or too large.
    """
    numbers = sorted(number for number, _ in numbered)
    first = 1 if numbers[0] == 1 else 0
    for expected, number in enumerate(numbers, start=first):
        if number != expected:
            raise ValueError(
                f"expected the numbers {first} to {first + len(numbers) - 1} at {len(numbers)} "
                f"classes, each once, got {number} in place of {expected}; number the classes "
                "without gaps, or write the names alone, in order (a .json list, if the numbers "
                "belong to them)"
            )
    return [name for _, name in sorted(numbered, key=lambda pair: pair[0])]


def _without_last_separator(line: str) -> str:
    *parts, rest = split_escaped(line, COMMAS + SEMICOLONS)
    return line[:-1].rstrip() if parts and not rest.strip() else line


def cells(line: str, separator: str) -> list[str]:
    """Split a line at a separator; what stands in quotation marks is literal.

    Returns:
        The cells, with a backslash before separators that are part of a name.
    """
    if '"' in line:
        try:
            reader = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
            return [_literal(cell.strip()) for cell in next(reader)]
        # Quotation marks that do not match belong to the names.
        except (csv.Error, StopIteration):
            pass
    return [cell.strip() for cell in split_escaped(line, separator)]


def _read_columns(rows: list[list[str]], lines: Sequence[str]) -> list[str]:
    longest = max(rows, key=len)
    if any(len(row) != len(longest) for row in rows):
        raise _several_in(lines[rows.index(longest)])
    titles = [cell.lower().replace(" ", "_") for cell in rows[0]]
    if len(rows) > 1 and any(title in _NAME_TITLES for title in titles):
        names, numbers = _titled_columns(titles, list(zip(*rows[1:], strict=True)))
    else:
        names, numbers = _untitled_columns(list(zip(*rows, strict=True)), lines)
    for name in names:
        if len(split_escaped(name, COMMAS + SEMICOLONS)) > 1:
            raise ValueError(
                f"expected one name in a cell, got {shorten(name)!r}; put | between synonyms, and "
                "quotes around a name with a comma"
            )
    return list(names) if numbers is None else in_order(list(zip(numbers, names, strict=True)))


def _titled_columns(
    titles: list[str], columns: list[tuple[str, ...]]
) -> tuple[tuple[str, ...], list[int] | None]:
    """The column of names and that of numbers, by the titles in the first row."""
    by_title = dict(zip(titles, columns, strict=True))
    named = [by_title[t] for t in _NAME_TITLES if t in by_title and _numbers(by_title[t]) is None]
    if not named:
        raise ValueError(
            f"expected a column called name, got {', '.join(titles)}; call one of them so"
        )
    numbered = [
        numbers
        for title in _NUMBER_TITLES
        if title in by_title and (numbers := _numbers(by_title[title])) is not None
    ]
    if any(numbers != numbered[0] for numbers in numbered):
        raise ValueError(
            f"expected one column with numbers of the classes, got {len(numbered)} that differ "
            f"({', '.join(titles)}); keep one of them"
        )
    return named[0], numbered[0] if numbered else None


def _untitled_columns(
    columns: list[tuple[str, ...]], lines: Sequence[str]
) -> tuple[tuple[str, ...], list[int]]:
    """The column of names and that of numbers, where there is one of each."""
    numbered = [numbers for column in columns if (numbers := _numbers(column)) is not None]
    named = [column for column in columns if _numbers(column) is None]
    if len(named) != 1 or len(numbered) != 1:
        raise _several_in(lines[0])
    return named[0], numbered[0]


def _numbers(column: Sequence[str]) -> list[int] | None:
    """The whole numbers of a column, None if something else is in it."""
    if all(re.fullmatch(r"-?[0-9]{1,9}", cell) for cell in column):
        return [int(cell) for cell in column]
    return None


def _several_in(line: str) -> ValueError:
    return ValueError(
        f"expected one class a line, got {shorten(line)!r}; put each class on its own line, with | "
        r"between synonyms and \, for a comma inside a name"
    )
