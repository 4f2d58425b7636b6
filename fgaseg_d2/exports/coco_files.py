"""COCO's files: objects, and panoptic segments."""

from __future__ import annotations

import abc
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..io.files import write_image
from .coco import INFO, coco_annotations, coco_box, coco_categories, coco_image
from .writer import Picture, Settings, Spool, Writer, write_parts


class _CocoWriter(Writer):
    """A JSON file whose "images" and "annotations" wait on disk."""

    file: str

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self.images, self.annotations = Spool(folder), Spool(folder)

    def add(self, picture: Picture) -> None:
        """Keep a picture."""
        number = self.images.count + 1
        image = coco_image(picture.label_map, picture.file_name, number)
        self.images.append(json.dumps(image, ensure_ascii=False))
        for annotation in self.annotate(picture, number):
            self.annotations.append(json.dumps(annotation, ensure_ascii=False))

    @abc.abstractmethod
    def annotate(self, picture: Picture, number: int) -> Any:
        """Entries of "annotations" of a picture with this number."""

    def categories(self) -> list[dict[str, Any]]:
        """The entries of "categories"."""
        return coco_categories(self.settings.class_names)

    def close(self) -> None:
        """Write the file."""
        info, categories = json.dumps(INFO), json.dumps(self.categories(), ensure_ascii=False)
        begin = f'{{"info": {info},\n"licenses": [],\n"categories": {categories},\n"images": [\n'
        between = '\n],\n"annotations": [\n'
        parts = (begin, self.images, between, self.annotations, "\n]}\n")
        write_parts(self.folder / self.file, *parts)
        self.images.close()
        self.annotations.close()


class CocoWriter(_CocoWriter):
    """``annotations.json``, an annotation a region, masks as compressed run lengths."""

    about = "COCO's JSON with run lengths"
    file = "annotations.json"

    def annotate(self, picture: Picture, number: int) -> Any:
        """An annotation for each region."""
        regions, size = self.settings.regions(picture), picture.label_map.size
        return coco_annotations(regions, size, number, self.annotations.count + 1)


class CocoPanopticWriter(_CocoWriter):
    """``panoptic.json``, and a PNG a picture whose colors are the segments' numbers.

    https://cocodataset.org/#format-data: a pixel's red + 256 green + 65536 blue is the number of
    its segment, 0 for none, which here is "background". A segment is stuff where it is all pixels
    of a class, and a thing where it is a connected piece.
    """

    about = "COCO's panoptic JSON with a PNG a picture"
    file = "panoptic.json"
    pictures = "panoptic"

    @classmethod
    def own_files(cls, stem: str) -> tuple[str, ...]:
        """The PNG."""
        return (f"{cls.pictures}/{stem}.png",)

    def categories(self) -> list[dict[str, Any]]:
        """The categories, with what panoptic programs ask for."""
        return [
            {
                **category,
                "isthing": int(self.settings.pieces),
                "color": self.settings.colors[category["id"] - 1].tolist(),
            }
            for category in super().categories()
        ]

    def annotate(self, picture: Picture, number: int) -> Any:
        """Write the PNG; an annotation lists its segments."""
        numbers = np.zeros(picture.label_map.size, np.uint32)
        segments = []
        for segment, region in enumerate(self.settings.regions(picture), start=1):
            left, top, right, bottom = region.box
            numbers[top:bottom, left:right][region.mask] = segment
            segments.append(
                {
                    "id": segment,
                    "category_id": region.label + 1,
                    "area": region.area,
                    "bbox": coco_box(region),
                    "iscrowd": 0,
                }
            )
        (name,) = self.own_files(picture.stem)
        bytes_of_numbers = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], -1)
        write_image(self.folder / name, bytes_of_numbers.astype(np.uint8))
        file_name = f"{picture.stem}.png"
        return [{"image_id": number, "file_name": file_name, "segments_info": segments}]
