"""Finds the pictures and videos of a command line; reads and writes videos."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import unreadable_videos

if TYPE_CHECKING:
    import numpy as np

PICTURE_SUFFIXES = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"]
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
    """

    path: Path | int
    stem: str

    @property
    def is_camera(self) -> bool:
        """Whether this is a camera."""
        return isinstance(self.path, int)

    @property
    def is_video(self) -> bool:
        """Whether this is a video or a camera."""
        return isinstance(self.path, int) or self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def overlay_suffix(self) -> str:
        """Photographs stay JPEG; everything else becomes PNG, videos MP4."""
        if self.is_video:
            return ".mp4"
        return ".jpg" if Path(self.path).suffix.lower() in (".jpg", ".jpeg") else ".png"

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


def find_sources(patterns: Sequence[str], output: Path) -> list[Source]:
    """Turn paths, folders and globs into sources, each file once, in a stable order.

    Results of files with one name in different folders get a number, and no result has the path of
    a source.

    Args:
        patterns: files, folders (their pictures and videos, not those of subfolders), or globs.
        output: folder of the results.

    Raises:
        FileNotFoundError: nothing is there.
        PermissionError: a folder may not be looked into.
        ImportError: a requirement of fgaseg_d2 is missing.
    """
    paths = list(dict.fromkeys(path for pattern in patterns for path in _expand(pattern)))
    originals = {path.resolve() for path in paths}
    paths = list({path.resolve(): path for path in reversed(paths)}.values())[::-1]
    sources: list[Source] = []
    # Some file systems take "A" and "a" for the same name.
    taken: set[str] = set()
    for path in paths:
        source, number = Source(path, path.stem), 1
        while source.stem.casefold() in taken or any(
            result.resolve() in originals for result in source.outputs(output).values()
        ):
            number += 1
            source = Source(path, f"{path.stem}_{number}")
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


def _file_for_opencv(path: Path) -> str:
    """A video's path as OpenCV takes it.

    Raises:
        FileNotFoundError: no regular file; OpenCV would wait at a FIFO for ever.
        ValueError: as :func:`_name_for_opencv`.
    """
    from fgaseg_d2.io.regular_files import require_file

    return _name_for_opencv(require_file(path, "a video"))


def _name_for_opencv(path: Path) -> str:
    """A path that OpenCV survives.

    Raises:
        ValueError: it is no UTF-8, at which OpenCV ends the process.
    """
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"expected the path of a video in UTF-8, which OpenCV needs, got {name!r}; rename it"
        ) from None
    return name


class VideoReader:
    """Frames of a video file or a camera, RGB, one after the other.

    Args:
        source: a video.

    Attributes:
        fps: frames a second, 25 where the file does not say.
        length: number of frames, None where that is not known.
        missing: frames that were announced and not found, once the last one was read.

    Raises:
        ValueError: it cannot be opened.
    """

    def __init__(self, source: Source) -> None:
        # OpenCV takes a while to import, and only videos need it.
        import cv2

        path = source.path if isinstance(source.path, int) else _file_for_opencv(source.path)
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            if isinstance(source.path, int):
                raise ValueError(
                    f"expected a camera that OpenCV can open, got '{source.path}'; try another "
                    "number"
                )
            raise ValueError(
                f"expected a video that OpenCV can open, got {str(source.path)!r}, "
                f"{unreadable_videos.reason(source.path)}"
            )
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.length = frames if frames > 0 else None
        self.missing = 0

    def batches(self, size: int, limit: int | None = None) -> Iterator[list[np.ndarray]]:
        """Give up to ``size`` frames at a time, H x W x 3, and ``limit`` in all (None: all)."""
        import cv2

        batch: list[np.ndarray] = []
        count = 0
        while limit is None or count < limit:
            there, frame = self._capture.read()
            if not there:
                self.missing = self._missing_after(count)
                break
            count += 1
            batch.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _missing_after(self, count: int) -> int:
        missing = (self.length or 0) - count
        # Some formats note their duration, from which the number of frames is guessed.
        return missing if missing > max(2, 0.02 * count) else 0

    def close(self) -> None:
        """Let go of the file or camera."""
        self._capture.release()


class VideoWriter:
    """Writes frames of one size, RGB with even sides, as MP4.

    Args:
        path: file to write, ending in .mp4.
        fps: frames a second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps, self.frames = path, fps, 0
        self._writer = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, H x W x 3, uint8.

        Raises:
            OSError: OpenCV cannot write the file.
        """
        import cv2

        if self._writer is None:
            path = _name_for_opencv(self.path)
            size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(path, code, self.fps, size)
            if not self._writer.isOpened():
                raise OSError(
                    f"expected to write an MP4 into {str(self.path.parent)!r}, but OpenCV cannot; "
                    "make room or choose another --output"
                )
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Finish the file and read its length back, because OpenCV hides a failed write.

        Raises:
            OSError: not all frames arrived.
        """
        if self._writer is None:
            return
        self._writer.release()
        try:
            with contextlib.closing(VideoReader(Source(self.path, ""))) as written:
                there = written.length or 0
        except ValueError:
            there = 0
        if there < self.frames:
            raise OSError(
                f"expected to write {self.frames} frames into {str(self.path.parent)!r}, got "
                f"{there} onto the disk; make room or choose another --output"
            )
