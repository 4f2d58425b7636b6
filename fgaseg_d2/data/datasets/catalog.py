"""Registers datasets with Detectron2 so that a later registration replaces an earlier one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, Metadata, MetadataCatalog

from ...io.regular_files import home_path


def datasets_root(root: str | os.PathLike | None = None) -> Path:
    """The folder of all datasets.

    Args:
        root: that folder; None takes the environment variable DETECTRON2_DATASETS, or ``datasets``
            if it is not set. ``~`` is the home folder.
    """
    folder = os.environ.get("DETECTRON2_DATASETS", "datasets") if root is None else root
    return home_path(folder)


def replace_dataset(name: str, load: Callable[[], list[dict]], **metadata: Any) -> None:
    """Register a dataset for semantic segmentation in place of what has its name.

    Args:
        name: in DatasetCatalog and MetadataCatalog.
        load: lists the records; called when the dataset is first needed.
        metadata: its keys; ``evaluator_type`` is "sem_seg".
    """
    if name in DatasetCatalog:
        DatasetCatalog.remove(name)
    if name in MetadataCatalog:
        MetadataCatalog.remove(name)
    DatasetCatalog.register(name, load)
    MetadataCatalog.get(name).set(evaluator_type="sem_seg", **metadata)


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
