"""Makes Storybook known to Detectron2: the parts for training and the test sets."""

import colorsys
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ...io.file_errors import reading
from ...storybook.classes import CLASS_IDS, IGNORE_LABEL, STUFF_CLASSES
from ...storybook.dataset import (
    CAPTIONS_FOLDER,
    SPLITS,
    Settings,
    finished_scenes,
    split_folder,
)
from ...storybook.drawing import write_dataset
from ...storybook.segments import write_segments
from ...storybook.vocabularies import (
    ATTRIBUTE_WORDS,
    FULL,
    GENERALIZED,
    NOUNS,
    SEEN,
    SYNONYMS,
    TRAINING_FULL,
    TRANSDUCTIVE,
    UNSEEN,
    StorybookVocabulary,
)
from ...vocabulary.dataset_words import CAPTIONED, OWN_KEY, SEGMENTED
from .catalog import datasets_root, replace_dataset
from .segments import load_segments

logger = logging.getLogger(__name__)

# Registered name -> the split that it shows details of, with captions.
CAPTIONS: dict[str, str] = {
    "storybook_captions_train": "captions_train",
    "storybook_captions_val": "captions_val",
}

# Registered name -> the split whose drawn segments it has.
SEGMENTS: dict[str, str] = {
    "storybook_segments_train": "train",
    "storybook_segments_val": "generalized_val",
    "storybook_segments_test": "test",
}

# Registered name -> the split whose scenes it shows, and the vocabulary.
DATASETS: dict[str, tuple[str, StorybookVocabulary]] = {
    "storybook_train": ("train", SEEN),
    "storybook_train_nouns": ("train", NOUNS),
    "storybook_train_attributes": ("train", ATTRIBUTE_WORDS),
    "storybook_train_full": ("train", TRAINING_FULL),
    "storybook_val": ("val", SEEN),
    "storybook_generalized_val": ("generalized_val", GENERALIZED),
    "storybook_nouns_val": ("generalized_val", NOUNS),
    "storybook_transductive_train": ("transductive", TRANSDUCTIVE),
    "storybook_seen_test": ("test", SEEN),
    "storybook_unseen_test": ("test", UNSEEN),
    "storybook_generalized_test": ("test", GENERALIZED),
    "storybook_nouns_test": ("test", NOUNS),
    "storybook_attributes_test": ("test", ATTRIBUTE_WORDS),
    "storybook_full_test": ("test", FULL),
    "storybook_synonyms_test": ("test", SYNONYMS),
}

_STUFF_COLORS: dict[str, tuple[int, int, int]] = {
    "sky": (150, 206, 244),
    "sun": (255, 204, 64),
    "cloud": (236, 240, 246),
    "mountain": (140, 128, 150),
    "hill": (48, 112, 86),
    "meadow": (124, 190, 80),
    "sea": (42, 132, 172),
    "sand": (232, 208, 150),
    "road": (96, 96, 104),
    "snow": (206, 220, 240),
}


def register_storybook(root: str | os.PathLike | None = None) -> None:
    """Register all of :data:`DATASETS` and :data:`CAPTIONS`; a later call replaces an earlier one.

    Nothing is read before a data set is loaded.

    Args:
        root: Folder that holds ``storybook/``; None takes the environment variable
            DETECTRON2_DATASETS, or ``datasets`` if it is not set.
    """
    root = datasets_root(root)
    for name, (split, vocabulary) in DATASETS.items():
        folder = split_folder(root, split)
        labels = folder / vocabulary.folder
        replace_dataset(
            name,
            partial(load_storybook, root, split, vocabulary),
            stuff_classes=list(vocabulary.classes),
            stuff_colors=class_colors(vocabulary),
            unseen_classes=list(vocabulary.unseen),
            ignore_label=IGNORE_LABEL,
            image_root=str(folder / "images"),
            sem_seg_root=str(labels),
        )
    for name, split in CAPTIONS.items():
        replace_dataset(
            name,
            partial(load_captions, root, split),
            evaluator_type="captions",
            image_root=str(split_folder(root, split) / "images"),
            **{OWN_KEY: {"kind": CAPTIONED}},
        )

    for name, split in SEGMENTS.items():
        replace_dataset(
            name,
            partial(load_drawn_segments, root, split),
            evaluator_type="segments",
            image_root=str(split_folder(root, split) / "images"),
            **{OWN_KEY: {"kind": SEGMENTED}},
        )


def load_drawn_segments(root: str | os.PathLike, split: str) -> list[dict]:
    """List the scenes of a split with their segments; what is missing of it is drawn first.

    Args:
        root: Folder that holds ``storybook/``.
        split: One with label maps.

    Returns:
        One dict for each scene with ``file_name``, ``segments``, ``height``, ``width``.

    Raises:
        ValueError: The folder was drawn by another version of Storybook.
        OSError: It cannot be written or read.
    """
    for _ in _pictures(root, split):
        pass
    file = write_segments(root, split)
    return load_segments(file, file.parent)


def load_storybook(
    root: str | os.PathLike, split: str, vocabulary: StorybookVocabulary
) -> list[dict]:
    """List the scenes of a split; what is missing of it is drawn first.

    Args:
        root: Folder that holds ``storybook/``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        vocabulary: That of the label maps.

    Returns:
        One dict for each scene with ``file_name``, ``sem_seg_file_name``, ``height``, ``width``.

    Raises:
        ValueError: The folder was drawn by another version of Storybook.
        OSError: It cannot be written.
    """
    return [
        record | {"sem_seg_file_name": str(folder / vocabulary.folder / f"{name}.png")}
        for folder, name, record in _pictures(root, split)
    ]


def load_captions(root: str | os.PathLike, split: str) -> list[dict]:
    """List the pictures of a split with captions; what is missing of it is drawn first.

    Args:
        root: Folder that holds ``storybook/``.
        split: ``"captions_train"`` or ``"captions_val"``.

    Returns:
        One dict for each picture with ``file_name``, ``captions``, ``height``, ``width``.

    Raises:
        ValueError: The folder was drawn by another version of Storybook.
        OSError: It cannot be written or read.
    """
    return [
        record | {"captions": _lines(folder / CAPTIONS_FOLDER / f"{name}.txt")}
        for folder, name, record in _pictures(root, split)
    ]


def _pictures(root: str | os.PathLike, split: str) -> Iterator[tuple[Path, str, dict]]:
    """The split's folder, a scene's name and what is said of its picture, for each scene."""
    folder, published = split_folder(root, split), Settings.complete(split)
    settings = Settings.read(folder) or published
    if settings != published:
        logger.warning("%s holds %s; the published data set is %s", folder, settings, published)
    write_dataset(root, **asdict(settings))
    for name in finished_scenes(folder, split):
        picture = str(folder / "images" / f"{name}{SPLITS[split].suffix}")
        yield (
            folder,
            name,
            {"file_name": picture, "height": settings.height, "width": settings.width},
        )


def _lines(path: Path) -> list[str]:
    with reading(path):
        return path.read_text(encoding="utf-8").splitlines()


def class_colors(vocabulary: StorybookVocabulary) -> list[tuple[int, int, int]]:
    """Colours for pictures of label maps, RGB in 0..255, one for each class.

    Stuff is shown as it looks; the things take hues a golden angle apart, so that neighbours in the
    list differ.
    """
    stuff = {int(vocabulary.table[CLASS_IDS[name]]): name for name in STUFF_CLASSES}
    colors = []
    for index in range(len(vocabulary.classes)):
        if index in stuff:
            colors.append(_STUFF_COLORS[stuff[index]])
            continue
        hue = index * 0.618034 % 1
        shade = colorsys.hsv_to_rgb(
            hue, (0.9, 0.55, 0.75)[index % 3], (0.9, 0.95, 0.6)[index // 3 % 3]
        )
        red, green, blue = (round(255 * channel) for channel in shade)
        colors.append((red, green, blue))
    return colors
