"""Reads YAML within bounds, so that no file makes a program hang or break off."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import yaml

from ..wording import in_one_line, shown
from .nesting import MAX_DEPTH, too_deep

# Far above what people write, far below what fills a memory.
MAX_NODES = 100_000
MAX_YAML_BYTES = 2**20

# libyaml's where it is there: ten times faster, the same result.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


def parse_yaml(text: str) -> Any:
    """Parse one YAML document as plain values: no tag builds a Python object.

    Args:
        text: at most :data:`MAX_YAML_BYTES` characters. Merge keys and aliases count for all that
            they stand for.

    Raises:
        ValueError: not YAML, a key that stands twice, or more than :data:`MAX_NODES` values or
            :data:`MAX_DEPTH` levels.
    """
    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"expected YAML of at most {MAX_YAML_BYTES} characters, got {len(text)}")
    try:
        _check_events(yaml.parse(text, Loader=_Loader))
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Measure().of(node)
            return _constructed(loader, node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        reason = in_one_line(str(error), 200)
        raise ValueError(f"expected plain YAML, got an error ({reason}); correct it") from error


def _constructed(loader: Any, node: yaml.Node) -> Any:
    try:
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    # What PyYAML raises where a value does not fit its tag: a date of month 13, !!bool maybe.
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"expected plain YAML, got a value that is not what it should be ({error}); correct it"
        ) from error


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Read a YAML file of UTF-8; see :func:`parse_yaml`.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: as :func:`parse_yaml`.
    """
    with open(path, "rb") as file:
        return parse_yaml(decode_yaml(file.read(MAX_YAML_BYTES + 1)))


def decode_yaml(content: bytes) -> str:
    """Turn the bytes of a YAML file into text.

    Raises:
        ValueError: not UTF-8.
    """
    try:
        # As a file opened as text has them: line ends of other systems are line ends.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected YAML in UTF-8, got other bytes ({error}); correct it") from None


def _check_events(events: Iterable[yaml.Event]) -> None:
    """Count what is written in a file, before anything is built of it."""
    depth = nodes = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise too_deep("YAML")
        if nodes > MAX_NODES:
            raise _too_many()


class _Measure:
    """Counts the values of a document with all that aliases and merge keys stand for."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def of(self, node: yaml.Node) -> tuple[int, int]:
        """Number of values of a node, and of levels; raises a ValueError above the bounds."""
        if id(node) in self._open:
            raise ValueError(
                f"expected YAML that ends somewhere, got an alias in line "
                f"{node.start_mark.line + 1} that contains itself; write it out"
            )
        if id(node) not in self._known:
            self._open.add(id(node))
            parts = [self.of(part) for part in self._parts(node)]
            self._open.discard(id(node))
            count = 1 + sum(size for size, _ in parts)
            depth = 1 + max((levels for _, levels in parts), default=0)
            if count > MAX_NODES:
                raise _too_many()
            # A value in the innermost of the levels counts as one more.
            if depth > MAX_DEPTH + 1:
                raise too_deep("YAML")
            self._known[id(node)] = count, depth
        return self._known[id(node)]

    def _parts(self, node: yaml.Node) -> list[yaml.Node]:
        if isinstance(node, yaml.MappingNode):
            _check_duplicates(node)
            return [part for pair in node.value for part in pair]
        return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_duplicates(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        name = (key.tag, key.value)
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        if name in seen:
            raise ValueError(
                f"expected each key once, got {shown(key.value)} again in line "
                f"{key.start_mark.line + 1}; remove one of them"
            )
        seen.add(name)


def _too_many() -> ValueError:
    return ValueError(
        f"expected YAML of at most {MAX_NODES} values, aliases and merge keys written out, got more"
    )
