"""Makes Storybook known to Detectron2 under storybook_train, storybook_val and storybook_unseen."""

import colorsys
import json
import os
from functools import partial

from fgaseg_d2.data.catalog import datasets_root, replace_dataset

from .classes import (
    ALL_CLASSES,
    HELD_OUT_CLASSES,
    IGNORE_LABEL,
    SEEN_CLASSES,
    STUFF_CLASSES,
)
from .dataset import INFO_NAME, SPLITS, split_folder

_STUFF_COLOURS: dict[str, tuple[int, int, int]] = {
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
    """Register the three splits; a later call replaces an earlier one.

    Nothing is read before a data set is loaded.

    Args:
        root: Folder that holds ``storybook/``; None takes the environment variable
            DETECTRON2_DATASETS, or ``datasets`` if it is not set.
    """
    root = datasets_root(root)
    for split in SPLITS:
        name, folder = f"storybook_{split}", split_folder(root, split)
        classes = ALL_CLASSES if split == "unseen" else SEEN_CLASSES
        replace_dataset(
            name,
            partial(load_storybook, root, split),
            stuff_classes=list(classes),
            stuff_colors=class_colours()[: len(classes)],
            unseen_classes=[name for name in classes if name in HELD_OUT_CLASSES],
            ignore_label=IGNORE_LABEL,
            image_root=str(folder / "images"),
            sem_seg_root=str(folder / "labels"),
        )


def load_storybook(root: str | os.PathLike, split: str) -> list[dict]:
    """List the scenes of a split.

    Args:
        root: Folder that holds ``storybook/``.
        split: ``"train"``, ``"val"`` or ``"unseen"``.

    Returns:
        One dict for each scene with ``file_name``, ``sem_seg_file_name``, ``height``, ``width``.

    Raises:
        FileNotFoundError: If the split was not made, or not to its end.
    """
    folder = split_folder(root, split)
    command = f"python tools/make_storybook.py --root {root}"
    try:
        info = json.loads((folder / INFO_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"expected Storybook in {folder}; make it with: {command}"
        ) from None
    images = {path.stem: path for path in (folder / "images").glob("[!.]*.jpg")}
    labels = {path.stem: path for path in (folder / "labels").glob("[!.]*.png")}
    stems = sorted(images.keys() & labels.keys())
    if len(stems) < info["count"]:
        raise FileNotFoundError(
            f"expected {info['count']} scenes in {folder}, got {len(stems)}; finish it with: "
            f"{command} --{split} {info['count']}"
        )
    return [
        {
            "file_name": str(images[stem]),
            "sem_seg_file_name": str(labels[stem]),
            "height": info["height"],
            "width": info["width"],
        }
        for stem in stems
    ]


def class_colours() -> list[tuple[int, int, int]]:
    """Colours for pictures of label maps, RGB in 0..255, one for each of all classes.

    Stuff is shown as it looks; the things take hues a golden angle apart, so that neighbours in the
    list differ.
    """
    colours = [_STUFF_COLOURS[name] for name in STUFF_CLASSES]
    for index in range(len(ALL_CLASSES) - len(STUFF_CLASSES)):
        hue = index * 0.618034 % 1
        shade = colorsys.hsv_to_rgb(
            hue, (0.9, 0.55, 0.75)[index % 3], (0.9, 0.95, 0.6)[index // 3 % 3]
        )
        red, green, blue = (round(255 * channel) for channel in shade)
        colours.append((red, green, blue))
    return colours
