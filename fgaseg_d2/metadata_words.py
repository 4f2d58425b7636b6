"""Reads the classes and the words of datasets that are registered in Detectron2."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fgaseg_d2.class_lists import same_name


def metadata_vocabulary(metadata: Any) -> Any:
    """The ``vocabulary`` of a registered dataset, None if it has none.

    Args:
        metadata: a dataset's name, or its ``detectron2.data.Metadata``.

    Raises:
        ValueError: unknown dataset, or one that names itself.
    """
    metadata = _find_metadata(metadata) if isinstance(metadata, str) else metadata
    words = metadata.get("vocabulary")
    if isinstance(words, str) and words == metadata.get("name"):
        raise ValueError(f"expected words as the vocabulary of dataset {words!r}, got its own name")
    return words


def read_metadata(metadata: Any) -> list[tuple[str, ...]]:
    """Read the ``stuff_classes`` of a registered dataset, split into names at comma and blank.

    Args:
        metadata: a dataset's name, or its ``detectron2.data.Metadata``.

    Raises:
        ValueError: unknown dataset, or one without ``stuff_classes``.
    """
    metadata = _find_metadata(metadata) if isinstance(metadata, str) else metadata
    names = metadata.get("stuff_classes")
    if not names:
        raise ValueError(
            f"expected stuff_classes in the metadata of dataset {metadata.get('name')!r}, got none;"
            " set MetadataCatalog.get(name).stuff_classes to the list of its class names"
        )
    return [tuple(name.split(", ")) for name in names]


def first_names(classes: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """One name for each class: the first, or all joined where only the others tell it apart.

    Args:
        classes: names of each class, such as ("building", "edifice").
    """
    pairs = [(", ".join(names), names[0]) for names in classes]
    distinct = {same_name(full): same_name(first) for full, first in pairs}
    meanings = Counter(distinct.values())
    return [(full if meanings[same_name(first)] > 1 else first,) for full, first in pairs]


def is_dataset(words: object) -> bool:
    """Whether this is the name of a dataset registered in Detectron2, or a dataset's metadata."""
    # Detectron2 takes seconds to import, and most class lists need nothing of it.
    from detectron2.data import DatasetCatalog, Metadata

    return isinstance(words, Metadata) or (isinstance(words, str) and words in DatasetCatalog)


def _find_metadata(name: str) -> Any:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    known = sorted({*MetadataCatalog.list(), *DatasetCatalog.list()})
    if name not in known:  # MetadataCatalog.get would silently make an empty entry
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "register it before"
        raise ValueError(f"expected the name of a registered dataset, got {name!r}; {hint}")
    return MetadataCatalog.get(name)
