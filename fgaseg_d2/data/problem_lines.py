"""What is wrong with files, as the lines of a report."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 20  # problems in a report


def problem_lines(
    problems: Sequence[object], limit: int | None = SHOWN, *, unit: str, word: str = "error"
) -> list[str]:
    """A line for each of the first problems, and one that counts the rest.

    Args:
        problems: a line each, as text.
        limit: most of them that are written out; None for all.
        unit: what the rest is, such as "files".
        word: how grave they are.
    """
    lines = [f"  {word}: {problem}" for problem in problems[:limit]]
    if left := len(problems) - len(lines):
        lines.append(f"  {word}: {left} more {unit}")
    return lines
