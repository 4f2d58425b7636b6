"""Two pictures on disk, exported in any formats, for the tests that read them back."""

from pathlib import Path

import numpy as np
from PIL import Image

from fgaseg_d2.exports import Export
from tests.exports.scenes import WORDS, labels, noise, segmentation

MAPS = {"one": labels(), "two words ü": noise(2)}
NAMES = WORDS.class_names[:3]


def export(folder: Path, *formats: str, **options: object) -> dict[str, np.ndarray]:
    """Write pictures into folder/pictures and their results into folder/out.

    Returns:
        The labels of each picture by the name of its file.
    """
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    found = {}
    with Export(folder / "out", formats, WORDS.class_names, root=pictures, **options) as run:
        for stem, values in MAPS.items():
            result = segmentation(values)
            path = pictures / f"{stem}.jpg"
            Image.fromarray(result.image).save(path)
            run.add(result.label_map, result.image, path)
            found[path.name] = values
    return found
