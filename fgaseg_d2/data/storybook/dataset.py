"""Writes Storybook scenes to a folder, one picture and one label map for each."""

import json
import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .scenes import draw_scene

VERSION = 1  # raise it with any change of the drawn pixels
SPLITS: tuple[str, ...] = ("train", "val", "unseen")
_SEEDS_PER_SPLIT = 10_000_000
_SEEDS_PER_BASE = 100_000_000
INFO_NAME = "dataset.json"

logger = logging.getLogger(__name__)


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
    return seed * _SEEDS_PER_BASE + SPLITS.index(split) * _SEEDS_PER_SPLIT + index


def write_dataset(
    root: str | os.PathLike,
    split: str,
    count: int,
    seed: int = 0,
    height: int = 256,
    width: int = 256,
    workers: int | None = None,
) -> Path:
    """Write a split as ``images/000000.jpg``, ``labels/000000.png`` and ``dataset.json``.

    Scenes that are there already are kept, so an interrupted call can be repeated.

    Args:
        root: Folder that holds all data sets.
        split: One of :data:`SPLITS`; only ``"unseen"`` shows held-out classes.
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
    todo = [index for index in range(count) if not _finished(folder, index)]
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
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write_atomically(path, (json.dumps(info, indent=2) + "\n").encode())


def _finished(folder: Path, index: int) -> bool:
    image, label = _paths(folder, index)
    return image.exists() and label.exists()


def _paths(folder: Path, index: int) -> tuple[Path, Path]:
    return folder / "images" / f"{index:06d}.jpg", folder / "labels" / f"{index:06d}.png"


def _write_scene(folder: Path, split: str, seed: int, height: int, width: int, index: int) -> None:
    scene = draw_scene(scene_seed(split, index, seed), height, width, split == "unseen")
    image, label = _paths(folder, index)
    write_png(label, scene.label)
    write_jpeg(image, scene.image)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a lossless picture; the file appears only when it is complete.

    Args:
        path: File to write.
        pixels: H x W x 3 uint8 RGB, or H x W uint8 for a label map (mode L).
    """
    _encode(path, ".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])


def write_jpeg(path: Path, pixels: np.ndarray) -> None:
    """Write a picture as JPEG of quality 94; the file appears only when it is complete.

    Args:
        path: File to write.
        pixels: H x W x 3 uint8 RGB.
    """
    _encode(path, ".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 94])


def _encode(path: Path, suffix: str, pixels: np.ndarray, options: list[int]) -> None:
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]  # OpenCV stores blue first
    encoded, data = cv2.imencode(suffix, pixels, options)
    assert encoded
    _write_atomically(path, data.tobytes())


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
