"""Registered semantic-segmentation datasets: their classes and their label files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from detectron2.data import MetadataCatalog
from PIL import Image

from ..io.files import pillow_errors
from ..io.orientation import load_upright, upright_size
from ..io.regular_files import kind_of_file, require_file
from ..vocabulary import dataset_words as metadata_words
from ..wording import in_one_line, shown
from .dataset_files import local_path
from .records import require_registered

DEFAULT_IGNORE_LABEL = 255
# Taken where 255 is a class: the largest value of a 16-bit label file.
WIDE_IGNORE_LABEL = 65535


@dataclass(frozen=True)
class LabelSpec:
    """What the label files of a dataset may hold.

    Attributes:
        dataset_name: name in the DatasetCatalog.
        classes: names of the classes; label k means classes[k].
        ignore_label: value of pixels that belong to no class.
    """

    dataset_name: str
    classes: tuple[str, ...]
    ignore_label: int

    @classmethod
    def from_metadata(cls, dataset_name: str) -> "LabelSpec":
        """Read the metadata keys ``stuff_classes`` and ``ignore_label`` of a registered dataset.

        Args:
            dataset_name: name in the DatasetCatalog. Without an ``ignore_label`` it is 255, or
                65535 where 255 is a class.

        Raises:
            ValueError: not registered, samples of another kind, no classes, or an ignore label that
                is no whole number or one of the classes.
        """
        require_registered(dataset_name)
        metadata = MetadataCatalog.get(dataset_name)
        kind = metadata_words.sample_kind(metadata)
        if kind != metadata_words.LABELLED:
            raise ValueError(
                f"expected a dataset with label maps, got {shown(dataset_name)}, whose samples are "
                f"{kind}; name another where labels are needed, as in DATASETS.TEST"
            )
        classes = metadata_words.class_names(metadata)
        if not classes:
            raise ValueError(
                f"dataset {shown(dataset_name)} has no stuff_classes; give it some with "
                f"MetadataCatalog.get({shown(dataset_name)}).set(stuff_classes=[...])"
            )
        default = outside_classes(DEFAULT_IGNORE_LABEL, len(classes))
        ignore_label = metadata.get("ignore_label")
        if ignore_label is None:
            ignore_label = default
        ignore_label = metadata_words.whole_number(ignore_label, "ignore_label", metadata)
        if ignore_label != outside_classes(ignore_label, len(classes)):
            raise ValueError(
                f"dataset {shown(dataset_name)} has the ignore_label {ignore_label}, but that is "
                "one of "
                f"its {len(classes)} classes (0 .. {len(classes) - 1}); set another, such as "
                f"{WIDE_IGNORE_LABEL} in 16-bit label files"
            )
        return cls(dataset_name, classes, ignore_label)

    def check(self, label: np.ndarray, file_name: str) -> None:
        """Raise a ValueError unless every value is a class or the ignore label.

        Args:
            label: H x W integers.
            file_name: named in the message.
        """
        counted = label[label != self.ignore_label]
        if not counted.size:
            return
        for value in (int(counted.min()), int(counted.max())):
            if not 0 <= value < len(self.classes):
                raise ValueError(
                    f"{file_name}: expected label values 0 .. {len(self.classes) - 1} (the "
                    f"{len(self.classes)} stuff_classes of {shown(self.dataset_name)}) or the "
                    f"ignore_label {self.ignore_label}, got {value}; correct the label file "
                    f"(docs/OWN_DATASET.md has labels that count from 1), or set ignore_label"
                )


def outside_classes(value: int, num_classes: int) -> int:
    """Return the value if it is no class index, otherwise one that is none.

    Args:
        value: wanted ignore value.
        num_classes: number of classes, indices 0 .. num_classes - 1.
    """
    if not 0 <= value < num_classes:
        return value
    return WIDE_IGNORE_LABEL if num_classes <= WIDE_IGNORE_LABEL else -1


def read_label(file_name: str | os.PathLike[str]) -> np.ndarray:
    """Read a label file without converting its values: palette indices and 16 bits survive.

    An orientation tag is applied, as it is to pictures.

    Args:
        file_name: one-channel PNG or TIFF of 1, 8, 16 or 32 bits.

    Returns:
        H x W int32 array that the caller may change.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, damaged, or of more than one channel.
    """
    return read_tagged_label(file_name)[0]


def read_tagged_label(file_name: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read a label file as :func:`read_label` does, with the orientation that it had (1: none)."""
    with _opened(file_name) as image:
        label, tag = load_upright(image)
    if label.ndim != 2 or label.dtype.kind not in "biu":
        raise ValueError(
            f"{file_name}: expected a label file of one integer channel, got {label.dtype} of "
            f"shape {label.shape}; convert colours to class indices as in docs/OWN_DATASET.md"
        )
    return label.astype(np.int32), tag


def label_size(file_name: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width in pixels that :func:`read_label` will find.

    Args:
        file_name: PNG or TIFF.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image.
    """
    return tagged_label_size(file_name)[0]


def tagged_label_size(file_name: str | os.PathLike[str]) -> tuple[tuple[int, int], int]:
    """Height and width as :func:`label_size` gives them, with the file's orientation (1: none)."""
    with _opened(file_name) as image:
        return upright_size(image)


@contextmanager
def _opened(file_name: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open a label file; what goes wrong meanwhile becomes one line that names it."""
    with pillow_errors("label file", file_name):
        path = local_path(file_name)
        if kind_of_file(path) == "nothing":
            raise FileNotFoundError(
                f"label file {in_one_line(os.fsdecode(file_name), 250)} does not exist; check the "
                "folder of the dataset"
            )
        require_file(path, "a label file", "check the folder of the dataset")
        with Image.open(path) as image:
            yield image
