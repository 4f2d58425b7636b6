"""Finds the pictures and videos that a command line names."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PICTURE_SUFFIXES = frozenset(
    [
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jpeg", ".jpg", ".png", ".ppm"),
        *(".tif", ".tiff", ".webp"),
    ]
)
VIDEO_SUFFIXES = frozenset(
    [".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"]
)


@dataclasses.dataclass(frozen=True)
class Source:
    """A picture or a video, and the begin of the names of its results.

    Args:
        path: the file; for a camera its number.
        stem: unique among the sources of a run.
        address: where the file was fetched from, "" if it was not.
        bands: of a picture, numbers from 1, to show as red, green and blue, or one to show in grey;
            none for the picture as it is.
    """

    path: Path | int
    stem: str
    address: str = ""
    bands: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What results and messages call it."""
        return self.address or (f"camera {self.path}" if self.is_camera else str(self.path))

    @property
    def is_camera(self) -> bool:
        """Whether this is a camera."""
        return isinstance(self.path, int)

    @property
    def is_video(self) -> bool:
        """Whether this is a video or a camera."""
        return isinstance(self.path, int) or is_video(self.path)

    @property
    def file(self) -> Path:
        """The file of a picture or video; a camera has none."""
        assert not isinstance(self.path, int)
        return self.path

    def picture(self) -> np.ndarray:
        """Read the picture, H x W x 3, uint8, RGB.

        Raises:
            OSError, ValueError: see `fgaseg_d2.io.files.read_image` and
                `fgaseg_d2.io.rasters.read_bands`.
        """
        from fgaseg_d2.io.files import read_image
        from fgaseg_d2.io.rasters import read_bands

        return read_bands(self.file, self.bands) if self.bands else read_image(self.file)

    @property
    def overlay_suffix(self) -> str:
        """Photographs stay JPEG; everything else becomes PNG, videos MP4."""
        if self.is_video:
            return ".mp4"
        return ".jpg" if self.file.suffix.lower() in (".jpg", ".jpeg") else ".png"

    def outputs(self, folder: Path) -> dict[str, Path]:
        """All files that may come of this source, by kind; a video has no "labels", "explain"."""
        # It imports PyTorch, and a path that is not there is reported before that.
        from fgaseg_d2.predict.segmentation import output_paths

        paths = output_paths(folder, self.stem, self.overlay_suffix)
        if self.is_video:
            del paths["labels"]
        else:
            paths["explain"] = folder / f"{self.stem}_explain.png"
        return paths


def is_video(path: Path) -> bool:
    """Whether a file is called as videos are."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_address(pattern: str) -> bool:
    """Whether a word of the command line is a web address."""
    return re.match(r"https?://", pattern, re.IGNORECASE) is not None


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Turn paths, folders and globs into files, in a stable order.

    Args:
        patterns: files, folders (their pictures and videos, not those of subfolders), or globs.

    Raises:
        FileNotFoundError: nothing is there.
        OSError: a folder may not be looked into.
    """
    try:
        return list(dict.fromkeys(path for pattern in patterns for path in _expand(pattern)))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OSError(
            f"cannot read {error.filename}: {error.strerror}; check the path and the permissions"
        ) from error


def name_sources(
    paths: Sequence[Path], output: Path, addresses: Mapping[Path, str] | None = None
) -> list[Source]:
    """Turn files into sources, each file once.

    Results of files with one name in different folders get a number, and no result has the path of
    a source.

    Args:
        paths: of :func:`find_files`.
        output: folder of the results.
        addresses: of those that were fetched.
    """
    addresses = addresses or {}
    originals = {path.resolve() for path in paths}
    paths = list({path.resolve(): path for path in reversed(paths)}.values())[::-1]
    sources: list[Source] = []
    # Some file systems take "A" and "a" for the same name.
    taken: set[str] = set()
    for path in paths:
        source, number = Source(path, path.stem, addresses.get(path, "")), 1
        while source.stem.casefold() in taken or any(
            result.resolve() in originals for result in source.outputs(output).values()
        ):
            number += 1
            source = dataclasses.replace(source, stem=f"{path.stem}_{number}")
        taken.add(source.stem.casefold())
        sources.append(source)
    return sources


def _expand(pattern: str) -> list[Path]:
    path = Path(os.path.expanduser(pattern))
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        known = PICTURE_SUFFIXES | VIDEO_SUFFIXES
        found = [file for file in sorted(path.iterdir()) if file.suffix.lower() in known]
        wanted = "a folder with pictures or videos"
    else:
        matches = sorted(glob.glob(str(path), recursive=True))
        found = [Path(match) for match in matches if os.path.isfile(match)]
        wanted = "a picture, a video, a folder or a glob that fits some"
    if not found:
        _check_permission(path)
        raise FileNotFoundError(f"expected {wanted}, got {pattern!r}; check the path")
    return found


def _check_permission(path: Path) -> None:
    """Raise a PermissionError where it cannot be told whether something is there."""
    try:
        os.stat(path)
    except PermissionError:
        raise
    except (OSError, ValueError):
        pass
