"""Small datasets of coloured blocks, written to disk and registered with Detectron2."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from fgaseg_d2.data.datasets.catalog import replace_dataset

CLASSES = ("red block", "green block", "blue block", "grey block")
COLORS = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [120, 120, 120]], np.uint8)

# A user's own module for --import: registers "blocks" from a folder.
MODULE = """
from pathlib import Path
from detectron2.data import DatasetCatalog, MetadataCatalog

FOLDER = Path({folder!r})

def load():
    return [
        dict(file_name=str(image), sem_seg_file_name=str(image.with_suffix(".label.png")))
        for image in sorted(FOLDER.glob("[0-9].png"))
    ]

DatasetCatalog.register({name!r}, load)
MetadataCatalog.get({name!r}).set(stuff_classes={classes!r}, ignore_label=255)
"""


def write_blocks(folder: Path, count: int = 6, height: int = 48, width: int = 64) -> list[dict]:
    """Write pictures of 8 x 8 blocks with their labels, the top row of blocks ignored."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for index in range(count):
        rng = np.random.default_rng(index)
        label = rng.integers(0, len(CLASSES), (height // 8, width // 8)).astype(np.uint8)
        label = label.repeat(8, 0).repeat(8, 1)
        image = COLORS[label]
        label[:8] = 255
        records.append(write_pair(folder, str(index), image, label))
    return records


def write_pair(folder: Path, stem: str, image: np.ndarray, label: np.ndarray) -> dict:
    """Write one picture and its label; returns the dataset record."""
    file_name, label_name = folder / f"{stem}.png", folder / f"{stem}.label.png"
    Image.fromarray(image).save(file_name)
    Image.fromarray(label).save(label_name)
    return {"file_name": str(file_name), "sem_seg_file_name": str(label_name)}


def write_module(folder: Path, name: str = "blocks") -> Path:
    """Write blocks and a module that registers them; returns the module's path."""
    write_blocks(folder / "pictures")
    path = folder / "my_dataset.py"
    text = MODULE.format(folder=str(folder / "pictures"), name=name, classes=list(CLASSES))
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def registered(
    name: str, records: list[dict] | Callable[[], list[dict]], **metadata: object
) -> Iterator[str]:
    """Register records, or what lists them, in place of what has the name, for a block's time."""
    load = records if callable(records) else lambda: records
    replace_dataset(name, load, **({"stuff_classes": list(CLASSES)} | metadata))
    try:
        yield name
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
