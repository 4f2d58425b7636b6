"""How deeply lists and mappings may lie in one another in what people write or hand over."""

from __future__ import annotations

from typing import Any

# Far above what people write, far below what fills a memory or Python's stack.
MAX_DEPTH = 64


def check_depth(content: Any, what: str, most_nodes: float = float("inf")) -> None:
    """Raise a ValueError for what is nested too deeply, contains itself, or is too much.

    Args:
        content: lists, tuples and dicts of anything.
        what: it is, for the message.
        most_nodes: number of values in it, a value that stands in several places counted in each.
    """
    nodes, level = 0, [content]
    for _ in range(MAX_DEPTH + 1):
        level = [node for node in level if isinstance(node, (list, tuple, dict))]
        if not level:
            return
        below: list[Any] = []
        for node in level:
            below.extend(node.values() if isinstance(node, dict) else node)
            if nodes + len(below) > most_nodes:
                raise ValueError(f"expected {what} of at most {most_nodes} values, got more")
        nodes += len(below)
        level = below
    raise too_deep(what)


def too_deep(what: str) -> ValueError:
    """The error for what has more levels; ``what`` names it."""
    return ValueError(
        f"expected {what} of at most {MAX_DEPTH} levels, one in the other, got more; flatten it"
    )
