"""The result of a prediction: labels, scores, shares and regions, drawn, handed on and saved."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image, ImageShow

from ..drawing.overlay import draw_overlay
from ..exports.coco import coco_dataset
from ..exports.detections import to_detections
from ..exports.export import Export
from ..exports.regions import LabelMap, Region
from ..io.files import write_image, write_json
from ..io.regular_files import home_path
from ..vocabulary import Vocabulary
from ..wording import few, plain
from .doubts import confidence, is_none, is_unsure, nearest

if TYPE_CHECKING:
    from supervision import Detections
    from torch import Tensor

_NOTEBOOK_SIDE = 1024  # pixels of a picture in a notebook, at most


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
    """What :class:`~fgaseg_d2.predict.predictor.OpenVocabPredictor` finds in a picture.

    Args:
        image: the picture, H x W x 3, uint8, RGB.
        labels: H x W, int32, indices into ``class_names``.
        scores: K x H x W, probabilities in [0, 1], on the model's device. For a picture so large
            that they would not fit the memory they are at a smaller size of the same shape.
        vocabulary: the words, with K display names.
        source: where the picture came from, "" if that is not known.
        weights: which weights were used, in words.
    """

    image: np.ndarray
    labels: np.ndarray
    scores: Tensor
    vocabulary: Vocabulary
    source: str = ""
    weights: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K display names; "background" is last where there is one."""
        return self.vocabulary.class_names

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the pixels, in [0, 1], of every class; classes of one name are added up."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.class_names))
        shares = dict.fromkeys(self.class_names, 0.0)
        for name, count in zip(self.class_names, counts, strict=True):
            shares[name] += float(count) / self.labels.size
        return shares

    def __repr__(self) -> str:
        height, width = self.labels.shape
        found = sorted((-share, name) for name, share in self.shares.items() if share)
        what = few((f"{plain(name, 40)} {-share:.1%}" for share, name in found), 4)
        return f"{type(self).__name__}({width} x {height} pixels: {what})"

    @cached_property
    def label_map(self) -> LabelMap:
        """The labels with their classes' names and each pixel's probability, without the model."""
        return LabelMap(self.labels, self.class_names, confidence(self.scores, self.labels))

    def mask(self, name: str) -> np.ndarray:
        """The pixels of a class.

        Args:
            name: one of ``class_names``, or a synonym of one.

        Returns:
            H x W, bool.

        Raises:
            ValueError: there is no such class.
        """
        classes = self.vocabulary.classes
        display = next((names[0] for names in classes if name in names), name)
        return self.label_map.mask(display)

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """The pixels, H x W, bool, of each class that has some, by name."""
        return {name: self.mask(name) for name, share in self.shares.items() if share}

    def pieces(self, smallest: int = 1) -> list[Region]:
        """Connected pieces: pixels of one class that hang together by their sides.

        Args:
            smallest: pixels of a piece, at least.

        Returns:
            Regions with ``name``, ``box``, ``mask`` (within the box), ``area``, ``score`` (mean
            probability) and ``rings``, in the order of the classes.
        """
        return list(self.label_map.regions(pieces=True, smallest=smallest))

    @property
    def boxes(self) -> dict[str, np.ndarray]:
        """Boxes of the connected pieces of each class that has some, by name.

        N x 4, int64: left, top, right, bottom in pixels, where right and bottom lie behind the last
        pixel.
        """
        found: dict[str, list[tuple[int, ...]]] = {}
        for piece in self.pieces():
            found.setdefault(piece.name, []).append(piece.box)
        return {name: np.array(boxes) for name, boxes in found.items()}

    @property
    def polygons(self) -> dict[str, list[list[np.ndarray]]]:
        """Outlines of the connected pieces of each class that has some, by name.

        Each piece is a list of rings, the outer one and then those of its holes; each ring N x 2,
        int64, x and y along the edges of the pixels, so that the areas are exact.
        """
        found: dict[str, list[list[np.ndarray]]] = {}
        for piece in self.pieces():
            found.setdefault(piece.name, []).append(piece.rings)
        return found

    def unsure(self, margin: float = 0.1) -> np.ndarray:
        """Where the two best classes are close to each other.

        Args:
            margin: difference of their probabilities, in [0, 1], below which a pixel is unsure.

        Returns:
            H x W, bool; nowhere true where there is a single class.

        Raises:
            ValueError: ``margin`` is beyond [0, 1].
        """
        return is_unsure(self.scores, margin, self.labels.shape)

    def none(self, threshold: float = 0.3) -> np.ndarray:
        """Where no class is probable, so that the best of them says little.

        Args:
            threshold: probability in [0, 1] that no class of such a pixel reaches.

        Returns:
            H x W, bool.

        Raises:
            ValueError: ``threshold`` is beyond [0, 1].
        """
        return is_none(self.scores, threshold, self.labels.shape)

    def to_coco(self, pieces: bool = False) -> dict[str, Any]:
        """A dataset of this one picture as COCO has it, for JSON or ``pycocotools``.

        Args:
            pieces: an annotation for each connected piece instead of each class.
        """
        name = Path(self.source).name or "picture.png"
        return coco_dataset(self.label_map, name, pieces)

    def to_supervision(self, pieces: bool = False) -> Detections:
        """``supervision.Detections`` with masks, boxes, classes, names and probabilities.

        Args:
            pieces: a detection for each connected piece instead of each class.

        Raises:
            ImportError: supervision is not installed.
        """
        return to_detections(self.label_map, pieces)

    def to_pil(self) -> Image.Image:
        """The overlay as a picture of Pillow."""
        return Image.fromarray(self.overlay())

    def show(self) -> None:
        """Show the overlay in the system's viewer of pictures.

        Raises:
            RuntimeError: there is none, such as on a server.
        """
        if not ImageShow.show(self.to_pil(), "segmentation"):
            raise RuntimeError(
                "expected a program that shows pictures, found none; write the picture with "
                "save(folder, stem), or end a cell of a notebook with the segmentation"
            )

    def _repr_png_(self) -> bytes:
        """What notebooks show: the overlay, large pictures reduced."""
        ratio = min(1.0, _NOTEBOOK_SIDE / max(self.labels.shape))
        size = tuple(max(1, round(side * ratio)) for side in self.labels.shape)
        image = cv2.resize(self.image, size[::-1], interpolation=cv2.INTER_AREA)
        overlay = draw_overlay(image, nearest(self.labels, size), self.class_names)
        with io.BytesIO() as file:
            Image.fromarray(overlay).save(file, "PNG")
            return file.getvalue()

    def overlay(self, image: np.ndarray | None = None, **options: Any) -> np.ndarray:
        """Draw the classes over the picture, with a legend.

        Args:
            image: another picture of the same size, H x W x 3, uint8, RGB.
            options: of :func:`~fgaseg_d2.drawing.overlay.draw_overlay`.

        Returns:
            A picture, uint8, RGB, larger than the original by the legend.
        """
        picture = self.image if image is None else image
        return draw_overlay(picture, self.labels, self.class_names, **options)

    def describe(self) -> dict[str, Any]:
        """Say in plain types what was found, for JSON."""
        height, width = self.labels.shape
        return {
            "image": self.source,
            "width": width,
            "height": height,
            "weights": self.weights,
            "shares": {name: round(share, 6) for name, share in self.shares.items()},
            "vocabulary": dataclasses.asdict(self.vocabulary),
        }

    def save(
        self,
        folder: str | os.PathLike[str],
        stem: str,
        overlay_suffix: str = ".png",
        formats: Iterable[str] = (),
    ) -> dict[str, Path]:
        """Write ``<stem>_overlay.png``, ``<stem>_labels.png`` and ``<stem>.json``.

        The labels are class indices in 8 bits, or in 16 bits above 255 classes. No file is ever
        left half-written.

        Args:
            folder: made if it is not there; ``~`` is the home folder.
            stem: begin of the file names.
            overlay_suffix: format of the overlay, ".png" or ".jpg".
            formats: also write these, such as "coco", each into a folder of its name; a dataset is
                of this picture alone, see :class:`~fgaseg_d2.exports.Export` for several.

        Returns:
            The paths of "overlay", "labels" and "json".

        Raises:
            OSError: something cannot be written.
            ValueError, ImportError: a format that is unknown, cannot hold these classes, or needs a
                library that is not installed.
        """
        path = self.source if os.path.isfile(self.source) else None
        with Export(folder, formats, self.class_names) as export:
            export.add(self.label_map, self.image, path, stem)
        paths = output_paths(folder, stem, overlay_suffix)
        wide = len(self.class_names) > 255
        write_image(paths["overlay"], self.overlay())
        write_image(paths["labels"], self.labels.astype(np.uint16 if wide else np.uint8))
        write_json(paths["json"], self.describe())
        return paths


def output_paths(
    folder: str | os.PathLike[str], stem: str, overlay_suffix: str = ".png"
) -> dict[str, Path]:
    """Paths that :meth:`Segmentation.save` writes, by kind."""
    folder = home_path(folder)
    return {
        "overlay": folder / f"{stem}_overlay{overlay_suffix}",
        "labels": folder / f"{stem}_labels.png",
        "json": folder / f"{stem}.json",
    }
