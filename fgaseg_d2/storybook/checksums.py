"""Is a split on disk the published one? Compared by pixels, because files differ.

How a PNG or JPEG is packed depends on the libraries of a machine, and a JPEG's pixels as well.
"""

import hashlib
import os

from ..io.files import read_image
from .dataset import SPLITS, Settings, finished_scenes, split_folder

# SHA-256 of the published data set, as pixel_hash counts it.
PUBLISHED: dict[str, str] = {
    "train": "e9ef852dfb2940b8f494829c9b53790826773d63e7f3fdde0b12ec4b22fbdf27",
    "val": "219e0f4f9815808a4ea3a60bcdb2a73f706bc2cb9c3cff78d02ee59f6191c3be",
    "test": "2d870b8ff8f77813e6f75e128aaef7a7ea2c62a6a15ea22a199fc3c82879a86e",
    "generalized_val": "f31bc8a26074ba8896401a4083ae83faf5de7647727258e440f70b1f0880fae3",
    "transductive": "7d575f50c384a02361301520b089f54487d5fd9acb2eababf691c082e5c83744",
    "captions_train": "46303ad9cf0b68e03297559b547ac8072e4c2785198debcfb5194e0b5c70edd9",
    "captions_val": "93c8b304bca4ede54c46eb210447d19efea140b41a5989c588c6c9f56afdf469",
}


def pixel_hash(root: str | os.PathLike, split: str) -> str:
    """Hash of a split's pixels.

    It goes over the scenes in order: the picture, H x W x 3 bytes (left out where pictures
    are JPEG), then the label map of each vocabulary, H x W bytes, or the text of its captions.

    Args:
        root: Folder that holds ``storybook/``.
        split: one of `SPLITS`.

    Returns:
        SHA-256 in hexadecimal digits.

    Raises:
        ValueError: No such split, or a damaged file.
    """
    folder, suffix = split_folder(root, split), SPLITS[split].suffix
    digest = hashlib.sha256()
    for name in finished_scenes(folder, split):
        if suffix == ".png":
            digest.update(read_image(folder / "images" / f"{name}.png").tobytes())
        for companion, ending in SPLITS[split].companions.items():
            path = folder / companion / f"{name}{ending}"
            # Grey is read as three equal channels.
            is_label = ending == ".png"
            digest.update(read_image(path)[..., 0].tobytes() if is_label else path.read_bytes())
    return digest.hexdigest()


def verify(root: str | os.PathLike, split: str) -> str:
    """Compare a split on disk with the published one.

    Args:
        root: Folder that holds ``storybook/``.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Returns:
        A line for people: the hash, and what it agrees with.

    Raises:
        ValueError: The split is not there, incomplete or damaged, or its pixels are others.
    """
    folder = split_folder(root, split)
    settings = Settings.read(folder)
    there = len(finished_scenes(folder, split))
    if settings is None or there < settings.count:
        wanted = Settings.complete(split) if settings is None else settings
        raise ValueError(
            f"expected {wanted.count} scenes in {folder}, got {there}; draw them with: python "
            f"tools/make_storybook.py --root {root}"
        )
    found = pixel_hash(root, split)
    if settings != Settings.complete(split):
        return f"{split}: {found} ({settings}, for which no hash is published)"
    if found != PUBLISHED[split]:
        raise ValueError(
            f"expected pixels with SHA-256 {PUBLISHED[split]} in {folder}, got {found}; remove the "
            "folder and draw it again, and if that does not help, please report the versions of "
            "NumPy and OpenCV"
        )
    return f"{split}: {found} (as published)"
