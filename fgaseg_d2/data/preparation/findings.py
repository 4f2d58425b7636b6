"""Collects what is wrong, and tells it at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Findings:
    """What was found to be wrong or unusual; each is told when it is found, and kept.

    Attributes:
        tell: takes one line.
        strict: whether what is only unusual counts as wrong.
        problems: what is wrong, a line each.
        warnings: what is unusual.
    """

    tell: Callable[[str], object]
    strict: bool = False
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        """Note that something is wrong."""
        line = " ".join(text.split())
        self.problems.append(line)
        self.tell(f"error: {line}")

    def warning(self, text: str) -> None:
        """Note that something is unusual."""
        if self.strict:
            self.problem(text)
            return
        line = " ".join(text.split())
        self.warnings.append(line)
        self.tell(f"warning: {line}")
