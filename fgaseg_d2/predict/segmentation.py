"""The result of a prediction: labels, scores and shares, drawn and saved."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..drawing.overlay import draw_overlay
from ..io.files import write_image, write_json
from ..io.regular_files import home_path
from ..vocabulary import Vocabulary

if TYPE_CHECKING:
    import os

    from torch import Tensor


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
        self, folder: str | os.PathLike[str], stem: str, overlay_suffix: str = ".png"
    ) -> dict[str, Path]:
        """Write ``<stem>_overlay.png``, ``<stem>_labels.png`` and ``<stem>.json``.

        The labels are class indices in 8 bits, or in 16 bits above 255 classes. No file is ever
        left half-written.

        Args:
            folder: made if it is not there; ``~`` is the home folder.
            stem: begin of the file names.
            overlay_suffix: format of the overlay, ".png" or ".jpg".

        Returns:
            The paths of "overlay", "labels" and "json".

        Raises:
            OSError: something cannot be written.
        """
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
