"""Rows of tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def line(cells: Sequence[str]) -> str:
    """A row; a bar within a cell does not end it."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def number(value: float | None, decimals: int = 2, none: str = "") -> str:
    """A figure with its decimals; `none` where it is None or NaN."""
    return none if value is None or value != value else f"{value:.{decimals}f}"
