"""Label maps as indexed PNG: pixels are class indices, and viewers show the classes' colors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..io.files import atomic_path
from .writer import Picture, Settings, Writer

_MOST = 256


class PngWriter(Writer):
    """``NAME.png``, 8 bits, indexed, as the label maps of PASCAL VOC."""

    about = "indexed PNG, a pixel's value its class, in color"

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        count = len(settings.class_names)
        if count > _MOST:
            raise ValueError(
                f"expected {_MOST} classes at most for the format 'png', got {count}; the 16-bit "
                "*_labels.png, which are always written, hold any number"
            )

    @classmethod
    def own_files(cls, stem: str) -> tuple[str, ...]:
        """The PNG."""
        return (f"{stem}.png",)

    def add(self, picture: Picture) -> None:
        """Write the PNG."""
        image = indexed_image(picture.label_map.labels, self.settings.colors)
        with atomic_path(self.folder / f"{picture.stem}.png") as temporary:
            image.save(temporary)


def indexed_image(labels: np.ndarray, colors: np.ndarray) -> Image.Image:
    """A picture of mode "P".

    Args:
        labels: H x W, from 0 to 255.
        colors: K x 3, uint8, RGB, K up to 256.
    """
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(np.asarray(colors, np.uint8).tobytes())
    return image
