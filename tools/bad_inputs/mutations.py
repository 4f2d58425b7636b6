"""Random damage to bytes and to trees of plain values."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

_LONG = "word " * 2000


def damaged(rng: random.Random, data: bytes, start: int = 0, end: int | None = None) -> bytes:
    """Bytes with one to three things wrong with them.

    Args:
        rng: random numbers.
        data: sound bytes.
        start, end: where damage may be.
    """
    end = len(data) if end is None else end
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_DAMAGES)(rng, data, *sorted((start, min(end, len(data)))))
    return data


def cut(rng: random.Random, data: bytes) -> bytes:
    """The first part of the bytes."""
    return data[: rng.choice((0, 1, 8, rng.randrange(len(data)), len(data) - 1))]


def _flip(rng: random.Random, data: bytes, start: int, end: int) -> bytes:
    if start >= end:
        return data
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        result[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(result)


def _overwrite(rng: random.Random, data: bytes, start: int, end: int) -> bytes:
    at = rng.randint(start, end)
    values = rng.choice((b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", rng.randbytes(8)))
    return data[:at] + values + data[at + len(values) :]


def _remove(rng: random.Random, data: bytes, start: int, end: int) -> bytes:
    at = rng.randint(start, end)
    return data[:at] + data[at + rng.choice((1, 2, 16, 300)) :]


def _insert(rng: random.Random, data: bytes, start: int, end: int) -> bytes:
    at = rng.randint(start, end)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 16, 300))) + data[at:]


def _repeat(rng: random.Random, data: bytes, start: int, end: int) -> bytes:
    at, length = rng.randint(start, end), rng.choice((1, 4, 64, 1024))
    return data[:at] + data[at : at + length] * rng.choice((2, 3, 20)) + data[at + length :]


def _cut_within(rng: random.Random, data: bytes, start: int, end: int) -> bytes:
    return data[: rng.randint(start, end)]


def _append(rng: random.Random, data: bytes, start: int, end: int) -> bytes:
    return data + rng.choice((data, b"\0" * 512, rng.randbytes(100)))


_DAMAGES: tuple[Callable[[random.Random, bytes, int, int], bytes], ...] = (
    _flip,
    _flip,
    _overwrite,
    _remove,
    _insert,
    _repeat,
    _cut_within,
    _append,
)


def odd_value(rng: random.Random) -> Any:
    """A value that hardly any place expects."""
    simple = (None, True, False, -1, 0, 1, 3, 2**31, -(2**63), 2**70, 0.5, -0.0, 1e308)
    others = (float("nan"), float("inf"), "", " ", "none", "0", "\x00", "\ud800", "../..", "a/b")
    nested: tuple[Any, ...] = (
        [],
        {},
        [[]],
        [None],
        [1, 2],
        ["a", 1],
        {"a": 1},
        {"": None},
        [[["a"]]],
        _LONG,
    )
    return copy.deepcopy(rng.choice((*simple, *others, *nested)))


def damaged_tree(rng: random.Random, tree: Any, odd: Callable[[random.Random], Any]) -> Any:
    """A copy of nested lists and dictionaries in which one to three nodes are wrong.

    Args:
        rng: random numbers.
        tree: plain values.
        odd: draws what takes the place of a node.
    """
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2, 3))):
        nodes = list(_nodes(tree))
        if not nodes:
            return odd(rng)
        parent, key = rng.choice(nodes)
        action = rng.choice(("replace", "replace", "remove", "rename", "repeat", "swap"))
        if action == "remove":
            del parent[key]
        elif action == "rename" and isinstance(parent, dict):
            parent[rng.choice((f"{key}x", "", str(key).upper(), "other"))] = parent.pop(key)
        elif action == "repeat" and isinstance(parent, list):
            parent.extend([copy.deepcopy(parent[key])] * rng.choice((1, 2, 50)))
        elif action == "swap":
            other, other_key = rng.choice(nodes)
            parent[key] = copy.deepcopy(other[other_key])
        else:
            parent[key] = odd(rng)
    return tree


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree, as a container and a key of it."""
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree))
    for key in list(keys):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _nodes(tree[key])
