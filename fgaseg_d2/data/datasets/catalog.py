"""Registers datasets with Detectron2 so that a later registration replaces an earlier one."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, Metadata, MetadataCatalog

from ...io.regular_files import home_path
from ...wording import shown


def datasets_root(root: str | os.PathLike | None = None) -> Path:
    """The folder of all datasets.

    Args:
        root: that folder; None takes the environment variable DETECTRON2_DATASETS, or ``datasets``
            if it is not set. ``~`` is the home folder.
    """
    folder = os.environ.get("DETECTRON2_DATASETS", "datasets") if root is None else root
    return home_path(folder)


def checked_name(name: Any, loader: type) -> str:
    """A name for a dataset of one's own.

    Args:
        name: what somebody wrote.
        loader: the class of loading functions whose datasets may be replaced.

    Raises:
        ValueError: no name, or that of a dataset that something else registered.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"expected a name for the dataset, such as 'pets_val', got {shown(name)}")
    if name in DatasetCatalog and not isinstance(DatasetCatalog[name], loader):
        raise ValueError(
            f"the dataset name {shown(name)} is taken; choose another, such as my_{name}"
        )
    return name


def replace_dataset(name: str, load: Callable[[], Sequence[dict]], **metadata: Any) -> None:
    """Register a dataset in place of what has its name.

    Args:
        name: in DatasetCatalog and MetadataCatalog.
        load: lists the records; called when the dataset is first needed.
        metadata: its keys; ``evaluator_type`` is "sem_seg" unless it is among them.
    """
    if name in DatasetCatalog:
        DatasetCatalog.remove(name)
    if name in MetadataCatalog:
        MetadataCatalog.remove(name)
    DatasetCatalog.register(name, load)
    MetadataCatalog.get(name).set(**({"evaluator_type": "sem_seg"} | metadata))


class Detectron2Catalog:
    """Detectron2's registered datasets, as the vocabulary looks for them."""

    def knows(self, words: object) -> bool:
        """See `Catalog`."""
        return isinstance(words, Metadata) or (isinstance(words, str) and words in DatasetCatalog)

    def names(self) -> list[str]:
        """See `Catalog`; a dataset may have metadata alone."""
        return sorted({*MetadataCatalog.list(), *DatasetCatalog.list()})

    def metadata(self, name: str) -> Metadata:
        """See `Catalog`."""
        return MetadataCatalog.get(name)
