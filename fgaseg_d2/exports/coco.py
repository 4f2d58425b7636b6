"""COCO's format of objects (https://cocodataset.org/#format-data), with run lengths as masks.

A mask in run lengths has holes like any other pixels outside it. As in COCO-Stuff, an annotation is
all pixels of a class in a picture, or, on request, a connected piece of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..io.coco_masks import encoded_mask
from ..vocabulary.vocabulary import BACKGROUND
from .regions import LabelMap, Region

INFO = {"description": "predicted by fgaseg_d2", "version": "1.0"}


def coco_dataset(label_map: LabelMap, file_name: str, pieces: bool = False) -> dict[str, Any]:
    """A dataset of one picture.

    Args:
        label_map: of the picture.
        file_name: of the picture.
        pieces: an annotation for each connected piece instead of each class.

    Returns:
        "info", "images", "annotations" and "categories", in types that JSON has.
    """
    return {
        "info": INFO,
        "images": [coco_image(label_map, file_name, 1)],
        "annotations": list(coco_annotations(label_map.objects(pieces), label_map.size, 1, 1)),
        "categories": coco_categories(label_map.class_names),
    }


def coco_categories(class_names: Sequence[str]) -> list[dict[str, Any]]:
    """The classes but "background"; a category's number is the class's index plus 1."""
    return [
        {"id": index, "name": name, "supercategory": ""}
        for index, name in enumerate(class_names, start=1)
        if name != BACKGROUND
    ]


def coco_image(label_map: LabelMap, file_name: str, number: int) -> dict[str, Any]:
    """An entry of "images"."""
    height, width = label_map.size
    return {"id": number, "file_name": file_name, "width": width, "height": height}


def coco_annotations(
    regions: Iterable[Region], size: tuple[int, int], image: int, first: int
) -> Iterator[dict[str, Any]]:
    """Entries of "annotations".

    Args:
        regions: of the picture.
        size: its height and width.
        image: its number.
        first: number of the first annotation.
    """
    for number, region in enumerate(regions, start=first):
        annotation = {
            "id": number,
            "image_id": image,
            "category_id": region.label + 1,
            "segmentation": encoded_mask(region.whole_mask(size)),
            "area": region.area,
            "bbox": coco_box(region),
            "iscrowd": 0,
        }
        if region.score is not None:
            annotation["score"] = round(region.score, 6)
        yield annotation


def coco_box(region: Region) -> list[int]:
    """Left, top, width and height."""
    left, top, right, bottom = region.box
    return [left, top, right - left, bottom - top]
