"""COCO's instances -> segments: polygons and run lengths, with the names of their categories."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ...io.coco_masks import decoded_mask
from ...io.json_files import read_json
from ...io.regular_files import home_path, require_file
from ...io.segment_files import is_number
from ...vocabulary.zero_shot import unseen_names
from ...wording import shown
from ..mappers.pictures import opened_record
from .made import Made, Wanted

Item = tuple[Mapping[str, Any], list[Mapping[str, Any]]]  # an image and its annotations
_ADVICE = "correct the annotation"


@dataclass(frozen=True)
class Instances:
    """A file of COCO's instances (also LVIS).

    Attributes:
        items: each image with its annotations, in the order of the file.
        texts: of each category, by its number; none for one that is left out.
        problems: annotations of no image, one line each.
    """

    items: list[Item]
    texts: dict[Any, tuple[str, ...]]
    problems: list[str]


def read_instances(path: str | os.PathLike[str], unseen: str = "") -> Instances:
    """Read a file of COCO's instances.

    Args:
        path: JSON with "images", "annotations" and "categories".
        unseen: categories that are left out: names, numbers counted from 0 in the order of the
            file, or a file of names.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such JSON, or a panoptic one.
    """
    file = require_file(home_path(path), "a JSON file of COCO's instances")
    try:
        content = read_json(file)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    lists = {}
    for key in ("images", "annotations", "categories"):
        found = content.get(key) if isinstance(content, Mapping) else None
        if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
            raise ValueError(
                f'{file}: expected COCO\'s instances with a list "{key}", got {shown(found)}; name '
                "another file"
            )
        lists[key] = found
    if any("segments_info" in one for one in lists["annotations"]):
        raise ValueError(
            f"{file}: expected COCO's instances, got a panoptic file; name the one of instances"
        )
    by_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in lists["annotations"]:
        by_image[_key(annotation.get("image_id"))].append(annotation)
    items = [(image, by_image.pop(_key(image.get("id")), [])) for image in lists["images"]]
    problems = [
        f"{_called(one)}: expected an image of the file, got {shown(one.get('image_id'))}"
        for left in by_image.values()
        for one in left
    ]
    return Instances(items, _category_texts(lists["categories"], unseen, str(file)), problems)


@dataclass(frozen=True)
class InstanceMasks:
    """Makes records of images with their annotations; crowds are left out.

    Attributes:
        texts: of each category, see `Instances`.
        images: folder of the pictures.
        wanted: what the segments are to be.
        source: of the texts, such as the file's name.
    """

    texts: Mapping[Any, tuple[str, ...]]
    images: Path
    wanted: Wanted
    source: str

    def __call__(self, item: Item) -> Made:
        """An image of the file and its annotations -> a record."""
        image, annotations = item
        made = Made()
        try:
            name = _file_name(image)
            sides = {key: image[key] for key in ("height", "width") if key in image}
            read, _, picture = opened_record({"file_name": str(self.images / name)} | sides)
        except (ValueError, OSError) as error:
            made.problems.append(f"image {shown(image.get('id'))}: {error}")
            return made
        masks = self._masks(annotations, picture.size, made)
        made.record = {
            "image_id": image.get("id"),
            "file_name": name,
            "height": read["height"],
            "width": read["width"],
            "segments": list(self.wanted.segments(masks, self.source, made)),
        }
        return made

    def _masks(
        self, annotations: list[Mapping[str, Any]], size: tuple[int, int], made: Made
    ) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
        for annotation in annotations:
            where, category = _called(annotation), _key(annotation.get("category_id"))
            if annotation.get("iscrowd"):
                made.left_out["crowds"] += 1
            elif category not in self.texts:
                made.problems.append(
                    f"{where}: expected a category of the file, got "
                    f"{shown(annotation.get('category_id'))}"
                )
            elif not self.texts[category]:
                made.left_out["of classes that are left out"] += 1
            else:
                try:
                    mask = instance_mask(annotation.get("segmentation"), size, where)
                except ValueError as error:
                    made.problems.append(str(error))
                else:
                    yield mask, self.texts[category]


def instance_mask(segmentation: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """The mask of an annotation.

    Args:
        segmentation: polygons, each [x, y, x, y, ...] in pixels, which are joined; or run lengths.
        size: height and width of the picture.
        where: what messages call the annotation.

    Returns:
        H x W, bool.

    Raises:
        ValueError: something else.
    """
    if isinstance(segmentation, Mapping):
        return decoded_mask(segmentation, size, where, _ADVICE).astype(bool)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError(
            f"{where}: expected polygons or run lengths, got {shown(segmentation)}; {_ADVICE}"
        )
    for polygon in segmentation:
        if not _is_polygon(polygon, max(size)):
            raise ValueError(
                f"{where}: expected polygons of three points or more as [x, y, x, y, ...] in "
                f"pixels of the picture, got {shown(polygon)}; {_ADVICE}"
            )
    runs = coco_mask.frPyObjects([list(map(float, one)) for one in segmentation], *size)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


def _is_polygon(polygon: Any, side: int) -> bool:
    """Far outside of a picture a point is a mistake, and would fill memory."""
    return (
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(is_number(x) and -side <= x <= 2 * side for x in polygon)
    )


def _category_texts(
    categories: list[Mapping[str, Any]], unseen: str, file: str
) -> dict[Any, tuple[str, ...]]:
    """Names of each category, by its number; LVIS has several, with underscores for blanks."""
    first = [str(category.get("name")) for category in categories]
    gone = unseen_names(unseen, first, {"name": file})
    texts = {}
    for name, category in zip(first, categories, strict=True):
        synonyms = category.get("synonyms") or [category.get("name")]
        names = [name.replace("_", " ").strip() for name in synonyms if isinstance(name, str)]
        if not names or not all(names):
            raise ValueError(
                f'{file}: expected categories with a "name", got {shown(category)}; correct it'
            )
        texts[_key(category.get("id"))] = () if name in gone else tuple(dict.fromkeys(names))
    return texts


def _file_name(image: Mapping[str, Any]) -> str:
    """Of a picture; LVIS says it in an address alone, whose last folder is that of the split."""
    name = image.get("file_name")
    if name is None and isinstance(image.get("coco_url"), str):
        name = "/".join(image["coco_url"].split("/")[-2:])
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f'expected "file_name" as a path, got {shown(name)}; correct the image')
    return name


def _called(annotation: Mapping[str, Any]) -> str:
    return f"annotation {shown(annotation.get('id'))}"


def _key(number: Any) -> Any:
    """What an image or category is looked up by; a file can bring anything."""
    return number if isinstance(number, (int, str)) else repr(number)
