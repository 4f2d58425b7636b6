"""The drawn segments of a scene: each thing that shows, and each kind of stuff, with its texts."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..io.files import atomic_path
from ..io.segment_files import described_segment
from ..parallel import each
from .classes import FULL_CLASSES, IGNORE_LABEL, PRODUCTS, STUFF_CLASSES
from .dataset import SPLITS, Settings, scene_name, scene_seed, split_folder
from .scenes import Scene, draw_scene

SEGMENTS_NAME = "segments.jsonl"
LEAST_PIXELS = 16  # of a segment; what is smaller shows nothing


def scene_segments(scene: Scene) -> list[dict[str, Any]]:
    """The segments of a scene, stuff first, then things from the farthest to the nearest.

    Returns:
        For each "rle" (COCO), "bbox" (left, top, width, height), "area" (pixels), "score" 1,
        "level" "object" and "texts", dicts with the text as "t": of a thing its pair, its full
        phrase and its noun, as far as these differ.
    """
    found = []
    for class_id in np.unique(scene.label[scene.things == 0]).tolist():
        if class_id != IGNORE_LABEL:
            mask = (scene.label == class_id) & (scene.things == 0)
            found.append((mask, [FULL_CLASSES[class_id]]))
    for number in np.unique(scene.things[scene.things > 0]).tolist():
        mask = scene.things == number
        product = PRODUCTS[int(scene.label[mask][0]) - len(STUFF_CLASSES)]
        found.append((mask, [product.pair.name, product.name, product.thing]))
    return [
        described_segment(mask, texts, "storybook")
        for mask, texts in found
        if mask.sum() >= LEAST_PIXELS
    ]


def write_segments(root: str | os.PathLike[str], split: str, workers: int | None = None) -> Path:
    """Write the segments of a split that is drawn already as JSON Lines, unless they are there.

    Args:
        root: Folder that holds all data sets.
        split: One of :data:`dataset.SPLITS` with label maps.
        workers: Processes that draw; None takes one for each CPU core.

    Returns:
        The file, a line for each scene.

    Raises:
        ValueError: No such split, one without label maps, or it is not drawn.
        OSError: The file cannot be written.
    """
    folder = split_folder(root, split)
    settings = Settings.read(folder)
    if settings is None or not SPLITS[split].vocabularies:
        raise ValueError(f"expected a split of Storybook with label maps in {folder}, found none")
    path = folder / SEGMENTS_NAME
    if path.is_file() and path.stat().st_mtime >= (folder / "dataset.json").stat().st_mtime:
        return path
    describe = partial(_record, settings)
    items = range(settings.count)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in each(describe, items, workers, f"segments of {split}", unit="scene"):
            file.write(json.dumps(record) + "\n")
    return path


def _record(settings: Settings, index: int) -> dict[str, Any]:
    split, name = SPLITS[settings.split], scene_name(index)
    seed = scene_seed(settings.split, index, settings.seed)
    scene = draw_scene(seed, settings.height, settings.width, split.products)
    return {
        "image_id": index,
        "file_name": f"images/{name}{split.suffix}",
        "height": settings.height,
        "width": settings.width,
        "segments": scene_segments(scene),
    }
