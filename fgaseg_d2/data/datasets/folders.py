"""A dataset of one's own: a folder of pictures, a folder of labels, and the words."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from ...io.regular_files import home_path
from ...vocabulary import Vocabulary
from ...vocabulary.colors import class_colors
from ...vocabulary.dataset_words import first_names
from ...wording import shown
from ..labels import DEFAULT_IGNORE_LABEL, LabelSpec, outside_classes
from .catalog import checked_name, replace_dataset
from .pairs import few, paired_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _FolderLoader:
    """Lists the records of two folders when the dataset is first needed."""

    name: str
    images: Path
    labels: Path

    def __call__(self) -> list[dict]:
        try:
            records, unlabelled = paired_files(self.images, self.labels)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"dataset {shown(self.name)}: {error}") from None
        if unlabelled:
            logger.warning(
                "%s: %d of %d pictures have no label file and are left out: %s",
                *(self.name, len(unlabelled), len(records) + len(unlabelled), few(unlabelled)),
            )
        return records


def register_folders(
    name: str,
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    vocabulary: Any,
    ignore_label: int | None = None,
) -> None:
    """Register pictures and label files of the same names as a dataset; replaces an earlier call.

    The label of ``images/a/b.jpg`` is ``labels/a/b.png`` (or .tif): one channel of 8 or 16 bits,
    whose values are positions in the vocabulary, from 0, or the ignore label. The folders are
    looked into when the dataset is first used.

    Args:
        name: for DATASETS.TRAIN and DATASETS.TEST.
        images: folder of pictures (JPEG, PNG, WebP, TIFF, BMP); ``~`` is the home folder.
        labels: folder of label files (PNG, TIFF, BMP).
        vocabulary: the classes in the order of their values: what ``Vocabulary.coerce`` takes, such
            as a file with a class a line, "cat|kitten,dog", or a list of names.
        ignore_label: value of pixels that belong to no class; None: 255, or 65535 where 255 is a
            class.

    Raises:
        FileNotFoundError: no such vocabulary file.
        ValueError: not a vocabulary, an ignore label that is a class, or the name of a dataset that
            something else registered.
    """
    name = checked_name(name, _FolderLoader)
    words = Vocabulary.coerce(vocabulary)
    classes = [names for (names,) in first_names(words.classes)]
    classes += words.class_names[len(classes) :]  # the automatic background
    if ignore_label is None:
        ignore_label = outside_classes(DEFAULT_IGNORE_LABEL, len(classes))
    if not isinstance(ignore_label, int):
        raise ValueError(f"expected ignore_label to be a whole number, got {shown(ignore_label)}")
    loader = _FolderLoader(name, _folder(images, "images"), _folder(labels, "labels"))
    if loader.images == loader.labels:
        raise ValueError(
            f"expected two folders, of pictures and of label files, got {loader.images} twice"
        )
    replace_dataset(
        name,
        loader,
        stuff_classes=classes,
        stuff_colors=[tuple(map(int, color)) for color in class_colors(len(classes))],
        ignore_label=ignore_label,
        fgaseg_d2={"vocabulary": words},
        image_root=str(loader.images),
        sem_seg_root=str(loader.labels),
    )
    try:
        LabelSpec.from_metadata(name)
    except ValueError:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
        raise


def _folder(path: Any, what: str) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise ValueError(f"expected the path of a folder for {what}, got {shown(path)}")
    return home_path(path)
