"""Ultralytics' segmentation datasets (https://docs.ultralytics.com/datasets/segment): polygons."""

from __future__ import annotations

import shutil

import numpy as np
import yaml

from ..io.files import atomic_path, write_image
from .writer import Picture, Writer, encoded, write_parts

_WITHIN = 0.25  # from the corner of a pixel to the point that stands for it, both ways
_DECIMALS = 7  # far below a pixel of any picture
# Kinds of pictures that are copied as they are; others become PNG.
_COPIED = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


class YoloWriter(Writer):
    """``data.yaml``, ``images/`` with the pictures and ``labels/`` with a text file for each.

    A line is a class and a polygon, for each connected piece. These polygons have no holes: a hole
    is cut open by a line of no width, from its border to the one on its left, and Ultralytics makes
    exactly the piece of it.
    """

    about = "Ultralytics' data.yaml with images and polygons"

    @classmethod
    def own_files(cls, stem: str) -> tuple[str, ...]:
        """The labels; and the picture, whatever its ending."""
        endings = (*_COPIED, *map(str.upper, _COPIED))
        return (f"labels/{stem}.txt", *(f"images/{stem}{ending}" for ending in endings))

    def add(self, picture: Picture) -> None:
        """Write the picture and its labels."""
        numbers = {index: number for number, index in enumerate(self.settings.objects)}
        height, width = picture.label_map.size
        lines = []
        for piece in self.settings.single_pieces(picture):
            # Ultralytics rounds down and others to the nearest; both must find the column and row.
            points = (piece.line + _WITHIN) / (width, height)
            text = " ".join(f"{value:.{_DECIMALS}f}" for value in points.ravel())
            lines.append(f"{numbers[piece.label]} {text}\n")
        write_parts(self.folder / "labels" / f"{picture.stem}.txt", *lines)
        self._write_picture(picture)

    def _write_picture(self, picture: Picture) -> None:
        suffix = picture.path.suffix if picture.path else ""
        if picture.path is None or suffix.lower() not in _COPIED:
            write_image(self.folder / "images" / f"{picture.stem}.png", picture.pixels)
            return
        with atomic_path(self.folder / "images" / f"{picture.stem}{suffix}") as temporary:
            shutil.copyfile(picture.path, temporary)

    def close(self) -> None:
        """Write the description of the dataset."""
        names = dict(enumerate(self.settings.objects.values()))
        content = {"train": "images", "val": "images", "names": names}
        with atomic_path(self.folder / "data.yaml") as temporary:
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=np.inf)
            temporary.write_bytes(encoded(text))
