"""Where words are looked up by the name of a dataset.

This package knows no datasets: who registers them says here how they are found.
"""

from __future__ import annotations

from typing import Any, Protocol


class Catalog(Protocol):
    """Datasets with metadata that know `get(key)`, such as Detectron2's."""

    def knows(self, words: object) -> bool:
        """Whether this is the name of a dataset, or a dataset's metadata."""

    def names(self) -> list[str]:
        """All names, sorted."""

    def metadata(self, name: str) -> Any:
        """The metadata of a dataset, by one of the names."""


class _Nothing:
    """No datasets."""

    def knows(self, words: object) -> bool:
        return False

    def names(self) -> list[str]:
        return []

    def metadata(self, name: str) -> Any:
        raise KeyError(name)


_catalog: Catalog = _Nothing()


def use_catalog(catalog: Catalog) -> None:
    """Let names of datasets stand for their words from now on."""
    global _catalog
    _catalog = catalog


def current_catalog() -> Catalog:
    """The datasets that are known."""
    return _catalog
