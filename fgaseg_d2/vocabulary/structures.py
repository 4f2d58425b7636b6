"""Class lists in JSON and YAML, of this package and of other programs.

Understood are a list of names; a list of lists (synonyms); COCO's list of {"id": ..., "name": ...};
{0: "cat", ...} and {"cat": 0, ...}; {"cat": ["kitten"], ...} with synonyms; and any of these under
one of the usual keys.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from .parsing import check_unique, read_classes, shorten
from .tables import in_order

# This package's benchmarks, Ultralytics, COCO, Hugging Face and others.
_KEYS = ("classes", "names", "categories", "id2label", "label2id", "class_names", "stuff_classes")
_MAX_DEPTH = 20
_MAX_YAML = 500_000  # characters; PyYAML alone takes a second for 100,000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WANTED = 'a list of names, a list of lists, or {"classes": [...]}'


def read_json(text: str) -> list[tuple[str, ...]]:
    """Read a class list in JSON.

    Raises:
        ValueError: not JSON, or no class list.
    """
    try:
        content = json.loads(text, object_pairs_hook=_mapping)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, got an error ({error}); correct the file") from error
    except RecursionError as error:
        raise _too_deep() from error
    return read_content(content, text)


def read_yaml(text: str) -> list[tuple[str, ...]]:
    """Read a class list in YAML, where every value is taken as text (no is a name).

    Raises:
        ValueError: not YAML, too long, nested too deeply, with references, or no class list.
    """
    if len(text) > _MAX_YAML:
        raise ValueError(
            f"expected at most {_MAX_YAML:,} characters of YAML, got {len(text):,}; write one "
            "class a line into a .txt file"
        )
    try:
        _check_events(yaml.parse(text, Loader=_LOADER))
        content = _content(yaml.compose(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        reason = shorten(" ".join(str(error).split()), 150)
        raise ValueError(f"expected YAML, got an error ({reason}); correct the file") from error
    return read_content(content, text)


def _check_events(events: Iterator[yaml.Event]) -> None:
    """Refuse what makes much of little, before anything is built of it."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"expected YAML without references, got *{event.anchor}; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(
        f"expected lists at most {_MAX_DEPTH} deep, got deeper ones; write a plain list of names"
    )


def _content(node: yaml.Node | None) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_content(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping([(_content(key), _content(value)) for key, value in node.value])
    return None if node is None else node.value


def _mapping(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping, in which no key may hide another."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if isinstance(key, (list, dict)) or key in found:
            raise ValueError(f"expected every key once, got {reprlib.repr(key)} again; remove one")
        found[key] = value
    return found


def read_content(content: Any, text: str = "") -> list[tuple[str, ...]]:
    """Read a class list that is a list or a mapping.

    Args:
        content: of plain types.
        text: what it was written as, for messages.

    Raises:
        ValueError: no class list.
    """
    if isinstance(content, Mapping):
        key = next((key for key in _KEYS if content.get(key)), None)
        # Published lists, which "classes" holds, may have a name in several classes.
        if key == "classes" and isinstance(content[key], list):
            return _read_list(content[key])
        content = content if key is None else content[key]
    if isinstance(content, Mapping):
        return _read_mapping(content)
    if isinstance(content, list):
        return check_unique(_read_list(content))
    shown = repr(shorten(text)) if text else reprlib.repr(content)
    raise ValueError(f"expected {_WANTED}, got {shown}; write one of these")


def _read_mapping(content: Mapping[Any, Any]) -> list[tuple[str, ...]]:
    """Classes of {0: "cat", ...}, {"cat": 0, ...} or {"cat": ["kitten"], "dog": []}."""
    listed = any(isinstance(names, (list, tuple)) for names in content.values())
    if listed and not any(key in content for key in _KEYS):
        return check_unique(read_classes(_with_synonyms(content)))
    return check_unique(read_classes(_by_number(content)))


def _read_list(items: list[Any]) -> list[tuple[str, ...]]:
    if not items or not all(isinstance(item, Mapping) for item in items):
        return read_classes(items)
    unnamed = next((item for item in items if not item.get("name")), None)
    if unnamed is not None:
        raise ValueError(
            f'expected a "name" in every category, got {reprlib.repr(unnamed)}; name it'
        )
    if all("id" not in item for item in items):
        return read_classes(item["name"] for item in items)
    numbered = []
    for item in items:
        number = _number(item.get("id"))
        if number is None:
            raise ValueError(
                'expected a whole number as "id" of every category, got '
                f"{reprlib.repr(item)}; number all of them or none"
            )
        numbered.append((number, item["name"]))
    return read_classes(in_order(numbered))


def _with_synonyms(content: Mapping[Any, Any]) -> Iterator[list[Any]]:
    """{"cat": ["kitten"], "dog": []} -> the names of each class."""
    for name, others in content.items():
        if others is not None and not isinstance(others, (list, tuple)):
            raise ValueError(
                f"expected a list of synonyms for every class, got {reprlib.repr(others)} for "
                f'{reprlib.repr(name)}; write {{"cat": ["kitten"], "dog": []}}'
            )
        yield [name, *(others or ())]


def _by_number(content: Mapping[Any, Any]) -> list[Any]:
    """{0: "cat", ...} or {"cat": 0, ...} -> names by number."""
    for pairs in (content.items(), [(value, key) for key, value in content.items()]):
        numbered = [
            (number, name) for value, name in pairs if (number := _number(value)) is not None
        ]
        if numbered and len(numbered) == len(content):
            return in_order(numbered)
    raise ValueError(
        f"expected {_WANTED}, got {reprlib.repr(dict(content))}; write one of these, or "
        '{"cat": ["kitten"], "dog": []} with synonyms'
    )


def _number(value: Any) -> int | None:
    """A whole number, also one that is written as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
