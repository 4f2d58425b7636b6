"""Writes Storybook scenes to a folder, one picture with its label maps for each."""

import json
import logging
import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fgaseg_d2.files import atomic_path

from .classes import PRODUCTS, TRAINING_PRODUCTS, Product
from .scenes import draw_scene
from .vocabularies import (
    ATTRIBUTE_WORDS,
    FULL,
    GENERALIZED,
    NOUNS,
    SEEN,
    TRAINING_FULL,
    UNSEEN,
    StorybookVocabulary,
)

VERSION = 2  # raise it with any change of the drawn pixels
_SEEDS_PER_SPLIT = 10_000_000
_SEEDS_PER_BASE = 100_000_000
INFO_NAME = "dataset.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """A part of the data set.

    Attributes:
        count: Number of scenes if nothing else is asked for.
        products: What the things of its scenes are chosen from.
        suffix: Ending of the pictures; PNG keeps every pixel as it was drawn.
        vocabularies: Those that it has label maps in.
    """

    count: int
    products: tuple[Product, ...]
    suffix: str
    vocabularies: tuple[StorybookVocabulary, ...]


SPLITS: dict[str, Split] = {
    "train": Split(
        20_000, TRAINING_PRODUCTS, ".jpg", (SEEN, NOUNS, ATTRIBUTE_WORDS, TRAINING_FULL)
    ),
    "val": Split(300, TRAINING_PRODUCTS, ".png", (SEEN,)),
    "test": Split(500, PRODUCTS, ".png", (SEEN, UNSEEN, GENERALIZED, NOUNS, ATTRIBUTE_WORDS, FULL)),
}


def split_folder(root: str | os.PathLike, split: str) -> Path:
    """Folder of a split, ``<root>/storybook/<split>``.

    Args:
        root: Folder that holds all data sets.
        split: One of :data:`SPLITS`.

    Returns:
        The folder; it need not exist.

    Raises:
        ValueError: If there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"expected a split of {', '.join(SPLITS)}, got {split!r}")
    return Path(root) / "storybook" / split


def scene_seed(split: str, index: int, seed: int = 0) -> int:
    """Seed of a scene; no two splits share one, and seeds 90 000 000 to 99 999 999 are in none.

    Args:
        split: One of :data:`SPLITS`.
        index: Position of the scene in its split, 0 .. 9 999 999.
        seed: Seed of the whole data set, 0 or more.

    Returns:
        A seed for :func:`scenes.draw_scene`.
    """
    return seed * _SEEDS_PER_BASE + list(SPLITS).index(split) * _SEEDS_PER_SPLIT + index


def write_dataset(
    root: str | os.PathLike,
    split: str,
    count: int,
    seed: int = 0,
    height: int = 256,
    width: int = 256,
    workers: int | None = None,
) -> Path:
    """Write a split as ``images/``, a folder ``labels_<vocabulary>/`` for each, ``dataset.json``.

    Scenes that are there already are kept, so an interrupted call can be repeated.

    Args:
        root: Folder that holds all data sets.
        split: One of :data:`SPLITS`; only ``"test"`` shows held-out combinations.
        count: Number of scenes, at most 10 000 000.
        seed: Seed of the whole data set, 0 or more.
        height: Rows of a scene in pixels, at least 32.
        width: Columns of a scene in pixels, at least 32.
        workers: Processes that draw; None takes one for each CPU core.

    Returns:
        The folder of the split.

    Raises:
        ValueError: If an argument is out of range, or the folder holds a data set made with other
            settings.
    """
    folder = split_folder(root, split)
    if not 0 < count <= _SEEDS_PER_SPLIT:
        raise ValueError(f"expected a count of 1 .. {_SEEDS_PER_SPLIT}, got {count}")
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, got {seed}")
    # Drawing would refuse it as well, but only after the folder got these settings.
    if min(height, width) < 32:
        raise ValueError(f"expected sides of at least 32 pixels, got {height} x {width}")
    settings = {"split": split, "seed": seed, "count": count, "height": height, "width": width}
    _claim_folder(folder, {"version": VERSION, **settings})
    finished = set(finished_scenes(folder, split))
    todo = [index for index in range(count) if scene_name(index) not in finished]
    workers = max(1, min(workers or os.cpu_count() or 1, len(todo)))
    logger.info("storybook_%s: %d of %d scenes to draw", split, len(todo), count)
    draw = partial(_write_scene, folder, split, seed, height, width)
    with tqdm(total=len(todo), desc=f"storybook_{split}", unit="scene") as progress:
        if workers == 1:
            for index in todo:
                draw(index)
                progress.update()
        else:
            context = multiprocessing.get_context("spawn" if os.name == "nt" else "fork")
            # One process per core draws already; OpenCV's own threads would only get in the way.
            with ProcessPoolExecutor(workers, context, cv2.setNumThreads, (0,)) as pool:
                for _ in pool.map(draw, todo, chunksize=16):
                    progress.update()
    return folder


def _claim_folder(folder: Path, info: dict) -> None:
    """Make the folders and leave the settings there, or check those that are there."""
    path = folder / INFO_NAME
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != info:
            differing = [key for key in info if found.get(key) != info[key]]
            raise ValueError(
                f"expected {path} to say { ({key: info[key] for key in differing}) }, got "
                f"{ ({key: found.get(key) for key in differing}) }: remove {folder} or choose "
                "another root"
            )
    for name in ("images", *label_folders(info["split"])):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes((json.dumps(info, indent=2) + "\n").encode())


def label_folders(split: str) -> list[str]:
    """Names of the folders of a split that hold label maps."""
    return [f"labels_{vocabulary.name}" for vocabulary in SPLITS[split].vocabularies]


def scene_name(index: int) -> str:
    """Name of a scene's files without their ending."""
    return f"{index:06d}"


def finished_scenes(folder: Path, split: str) -> list[str]:
    """Names of the scenes of which picture and label maps are there, in order."""
    names = _stems(folder / "images", SPLITS[split].suffix)
    for labels in label_folders(split):
        names &= _stems(folder / labels, ".png")
    return sorted(names)


def _stems(folder: Path, suffix: str) -> set[str]:
    names: Iterable[str] = os.listdir(folder) if folder.is_dir() else ()
    return {name[: -len(suffix)] for name in names if name.endswith(suffix) and name[0] != "."}


def _write_scene(folder: Path, split: str, seed: int, height: int, width: int, index: int) -> None:
    settings = SPLITS[split]
    scene = draw_scene(scene_seed(split, index, seed), height, width, settings.products)
    name = scene_name(index)
    for vocabulary, labels in zip(settings.vocabularies, label_folders(split), strict=True):
        write_picture(folder / labels / f"{name}.png", vocabulary.labels(scene.label))
    write_picture(folder / "images" / f"{name}{settings.suffix}", scene.image)


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write a picture as JPEG of quality 94 or as PNG; the file appears only when it is complete.

    Args:
        path: File to write, ending in .jpg, .jpeg or .png.
        pixels: H x W x 3 uint8 RGB, or H x W uint8 for a label map (mode L).
    """
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]  # OpenCV stores blue first
    lossless = path.suffix.lower() == ".png"
    options = [cv2.IMWRITE_PNG_COMPRESSION, 4] if lossless else [cv2.IMWRITE_JPEG_QUALITY, 94]
    encoded, data = cv2.imencode(path.suffix, pixels, options)
    assert encoded
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
