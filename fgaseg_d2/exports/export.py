"""Writes segmented pictures in any number of formats at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from ..io.regular_files import home_path
from ..vocabulary.colors import default_colors
from ..wording import few, shown
from .coco_files import CocoPanopticWriter, CocoWriter
from .cvat import CvatWriter
from .geo import GeoJsonWriter, GeoTiffWriter
from .label_studio import LabelStudioWriter
from .labelme import LabelMeWriter
from .labels_png import PngWriter
from .regions import LabelMap
from .writer import Picture, Settings, Writer
from .yolo import YoloWriter

FORMATS: Mapping[str, type[Writer]] = {
    "png": PngWriter,
    "coco": CocoWriter,
    "coco_panoptic": CocoPanopticWriter,
    "labelme": LabelMeWriter,
    "label_studio": LabelStudioWriter,
    "cvat": CvatWriter,
    "yolo": YoloWriter,
    "geojson": GeoJsonWriter,
    "geotiff": GeoTiffWriter,
}


class Export:
    """Writes the pictures of a run, each format into a folder of its name.

    Example::

        with Export("output", ["coco", "yolo"], ["cat", "dog"]) as export:
            for path in paths:
                result = predictor(path, ["cat", "dog"])
                export.add(result.label_map, result.image, path)

    Files of all pictures, such as COCO's, are written at the end, whatever ended the block, and
    hold the pictures that were added. Until then they wait on disk, so the memory does not grow.

    Args:
        folder: of the results; ``~`` is the home folder.
        formats: names of :data:`FORMATS`.
        class_names: K display names, those of all label maps.
        root: the folder of all pictures, to which paths in datasets are relative; None where names
            alone will do.
        pieces: each connected piece is a region of its own, in formats that also take all pixels of
            a class as one (COCO, Label Studio, CVAT); polygons always are of pieces.
        smallest: pixels of a region, at least; smaller ones are left out of all formats but maps.

    Raises:
        ValueError: an unknown format, one that cannot hold these classes, or a ``smallest`` below
            1.
        ImportError: a format needs a library that is not installed.
        WriteError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        formats: Iterable[str],
        class_names: Sequence[str],
        *,
        root: str | os.PathLike[str] | None = None,
        pieces: bool = False,
        smallest: int = 1,
    ) -> None:
        if smallest < 1:
            raise ValueError(f"expected `smallest`, a number of pixels from 1, got {smallest}")
        colors = default_colors(class_names)
        self._settings = Settings(tuple(class_names), colors, pieces, smallest)
        self._root = None if root is None else home_path(root)
        self._writers = [
            FORMATS[name](home_path(folder) / name, self._settings) for name in checked(formats)
        ]
        self._stems: set[str] = set()

    def add(
        self,
        label_map: LabelMap,
        pixels: np.ndarray,
        path: str | os.PathLike[str] | None = None,
        stem: str | None = None,
    ) -> None:
        """Write a picture.

        Args:
            label_map: of the picture, with the classes of this export.
            pixels: the picture, H x W x 3, uint8, RGB.
            path: its file; None if it has none.
            stem: begin of the names of its files; None takes the file's name, with a number if
                another picture has it.

        Raises:
            ValueError: other classes, or a stem that another picture has.
            WriteError: a file cannot be written.
        """
        if tuple(label_map.class_names) != self._settings.class_names:
            raise ValueError(
                "expected the classes of the export, "
                f"{few(map(repr, self._settings.class_names))}, got "
                f"{few(map(repr, label_map.class_names))}; make an export for each vocabulary"
            )
        path = Path(path) if path else None
        stem = self._new_stem(stem, path.stem if path else "picture")
        name = path.name if path else f"{stem}.png"
        if path and self._root:
            name = Path(os.path.relpath(path, self._root)).as_posix()
        picture = Picture(stem, name, label_map, pixels, path)
        for writer in self._writers:
            writer.add(picture)

    def close(self) -> None:
        """Write the files of all pictures."""
        while self._writers:
            self._writers.pop(0).close()

    def __enter__(self) -> Export:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _new_stem(self, stem: str | None, name: str) -> str:
        """Some file systems take "A" and "a" for the same name."""
        found, number = stem or name, 1
        while found.casefold() in self._stems:
            if stem:
                raise ValueError(
                    f"expected a stem that no other picture of the export has, got {shown(stem)}"
                )
            number += 1
            found = f"{name}_{number}"
        self._stems.add(found.casefold())
        return found


def checked(formats: Iterable[str]) -> list[str]:
    """Names of formats, each once.

    Raises:
        ValueError: an unknown one.
    """
    names = list(dict.fromkeys([formats] if isinstance(formats, str) else formats))
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"expected formats among {', '.join(FORMATS)}, got {shown(name)}")
    return names


def own_files(folder: Path, formats: Iterable[str], stem: str) -> list[Path]:
    """Files that a picture gets for itself, in formats that have such."""
    return [
        folder / name / file for name in checked(formats) for file in FORMATS[name].own_files(stem)
    ]
