"""Reads and writes videos, and reads cameras."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import unreadable_videos
from .sources import Source

if TYPE_CHECKING:
    import cv2
    import numpy as np


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
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, H x W x 3, uint8.

        Raises:
            OSError: OpenCV cannot write the file.
        """
        import cv2

        if self._writer is None:
            path = _name_for_opencv(self.path)
            size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter.fourcc(*"mp4v")
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
