"""Draws the scenes of a split into its folder, in parallel and one process group at a time."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ..io.file_errors import FileError, writing
from ..io.files import atomic_path
from ..io.partial_files import remove_leftovers
from ..io.turns import turn
from ..parallel import each, worker_count
from ..wording import PATH, shown
from .captions import draw_captioned
from .dataset import (
    CAPTIONS_FOLDER,
    INFO_NAME,
    SPLITS,
    Settings,
    finished_scenes,
    scene_name,
    scene_seed,
    split_folder,
)
from .scenes import draw_scene

_SECONDS_PER_SCENE = 0.025  # on one core, with all files; only for the announcement

logger = logging.getLogger(__name__)


def write_dataset(
    root: str | os.PathLike,
    split: str,
    count: int | None = None,
    seed: int = 0,
    height: int | None = None,
    width: int | None = None,
    workers: int | None = None,
) -> Path:
    """Write a split as ``images/``, ``labels_<vocabulary>/`` or ``captions/``, ``dataset.json``.

    Scenes that are there already are kept, so an interrupted call can be repeated. If another
    process is writing the same split, this one waits for it and then does what is left.

    Args:
        root: Folder that holds all data sets.
        split: One of :data:`SPLITS`; which of them show held-out combinations is said there.
        count: Number of scenes, at most 10 000 000; None takes that of the published data set.
        seed: Seed of the whole data set, 0 or more.
        height: Rows of a scene in pixels, 32 .. 4096; None takes that of the published data set.
        width: Columns of a scene in pixels, 32 .. 4096; None as for the height.
        workers: Processes that draw; None takes one for each CPU core.

    Returns:
        The folder of the split.

    Raises:
        ValueError: An argument is out of range, or the folder holds a data set made with other
            settings.
        OSError: The folder cannot be written; what is finished stays.
    """
    folder = split_folder(root, split)
    settings = Settings.complete(split, count, seed, height, width)
    folders = [folder / name for name in ("images", *SPLITS[split].companions)]
    for one in (folder, *folders):
        remove_leftovers(one)
    if settings.finished_in(folder):
        return folder  # which may be one that cannot be written
    lock = folder.with_name(f".{folder.name}.lock")
    try:
        with writing(folder), turn(lock, f"draws {folder}"):
            if settings.finished_in(folder):
                return folder
            for one in folders:
                one.mkdir(parents=True, exist_ok=True)
            with atomic_path(folder / INFO_NAME) as temporary:
                temporary.write_text(settings.to_json(), encoding="utf-8")
            _draw_missing(folder, settings, workers)
    except OSError as error:
        reason = error.problem if isinstance(error, FileError) else error
        raise OSError(
            f"expected to draw storybook_{split} into {folder}, got an error ({reason}); what is "
            "finished stays: make room or leave to write there, or choose another root "
            "(DETECTRON2_DATASETS), and repeat the command"
        ) from error
    return folder


def _draw_missing(folder: Path, settings: Settings, workers: int | None) -> None:
    finished = set(finished_scenes(folder, settings.split))
    todo = [index for index in range(settings.count) if scene_name(index) not in finished]
    workers = worker_count(workers or None, len(todo))
    logger.info(
        "storybook_%s: drawing %d of %d scenes into %s with %d processes; it takes about %.1f "
        "minutes",
        *(settings.split, len(todo), settings.count, folder, workers),
        len(todo) * _SECONDS_PER_SCENE / workers / 60,
    )
    draw = partial(_write_scene, folder, settings)
    for _ in each(draw, todo, workers, f"storybook_{settings.split}", unit="scene"):
        pass


def _write_scene(folder: Path, settings: Settings, index: int) -> None:
    split = SPLITS[settings.split]
    seed = scene_seed(settings.split, index, settings.seed)
    sides, name = (settings.height, settings.width), scene_name(index)
    if split.vocabularies:
        scene = draw_scene(seed, *sides, split.products)
        image = scene.image
        for vocabulary in split.vocabularies:
            label = vocabulary.labels(scene.label)
            write_picture(folder / vocabulary.folder / f"{name}.png", label)
    else:
        image, captions = draw_captioned(seed, *sides, split.products)
        with atomic_path(folder / CAPTIONS_FOLDER / f"{name}.txt") as temporary:
            temporary.write_text("".join(f"{line}\n" for line in captions), encoding="utf-8")
    write_picture(folder / "images" / f"{name}{split.suffix}", image)


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write a picture as JPEG of quality 94 or as PNG; the file appears only when it is complete.

    Args:
        path: File to write, ending in .jpg, .jpeg or .png.
        pixels: H x W x 3 uint8 RGB, or H x W uint8 for a label map (mode L).

    Raises:
        ValueError: Another ending.
        OSError: The file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".jpg", ".jpeg", ".png"):
        raise ValueError(f"expected a file ending in .jpg, .jpeg or .png, got {shown(path, PATH)}")
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]  # OpenCV stores blue first
    lossless = suffix == ".png"
    options = [cv2.IMWRITE_PNG_COMPRESSION, 4] if lossless else [cv2.IMWRITE_JPEG_QUALITY, 94]
    encoded, data = cv2.imencode(suffix, pixels, options)
    assert encoded
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
