"""Runs a model over sources, and reports what was found and what failed."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch

from fgaseg_d2.engine.errors import one_line, tracebacks_wanted
from fgaseg_d2.exports import Export
from fgaseg_d2.io.file_errors import ReadError, WriteError
from fgaseg_d2.io.files import atomic_path, write_image, write_json
from fgaseg_d2.io.progress import Progress
from fgaseg_d2.predict.explanation import Explanation
from fgaseg_d2.predict.point_routes import check_point
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from fgaseg_d2.predict.segmentation import Segmentation
from fgaseg_d2.vocabulary import Vocabulary
from fgaseg_d2.vocabulary.vocabulary import BACKGROUND
from fgaseg_d2.wording import few

from .messages import OutputError, complain, say
from .sources import Source
from .videos import VideoReader, VideoWriter

# After one of these, writing the next result would fail as well.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
_FEW_WORDS = 20
_OUT_OF_MEMORY = (
    "expected enough memory for the picture and the words, got too little; try --batch-size 1, "
    "--opts INPUT.MIN_SIZE_TEST 320, or --device cpu"
)


class ResultsError(OSError):
    """Results cannot be written, so nothing more is worth computing."""


@dataclasses.dataclass(frozen=True)
class Sheets:
    """What the contact sheets of explanations show.

    Args:
        words: at most.
        point: column and row of the pixel whose routes are drawn; None for a picture's middle.
    """

    words: int
    point: tuple[int, int] | None


class Runner:
    """Segments sources one after the other and keeps count.

    Args:
        predictor: the model.
        vocabulary: the words for all sources.
        output: folder of the results.
        batch_size: pictures or frames in one pass.
        max_frames: of a video; None for all.
        sheets: what the contact sheet of each picture shows; None for no sheets.
        export: takes the results of pictures for other programs.
    """

    def __init__(
        self,
        predictor: OpenVocabPredictor,
        vocabulary: Vocabulary,
        output: Path,
        *,
        batch_size: int,
        max_frames: int | None,
        sheets: Sheets | None,
        export: Export,
    ) -> None:
        self.predictor, self.vocabulary = predictor, vocabulary
        self.output, self.batch_size, self.max_frames = output, batch_size, max_frames
        self.sheets, self.export = sheets, export
        self.done = self.failed = 0

    def pictures(self, sources: list[Source]) -> None:
        """Segment pictures, in batches."""
        if not sources:
            return
        with Progress(len(sources), "picture") as progress:
            for start in range(0, len(sources), self.batch_size):
                part = sources[start : start + self.batch_size]
                read = [(source, self._read(source)) for source in part]
                self._batch([(source, image) for source, image in read if image is not None])
                progress.update(len(part))

    def _read(self, source: Source) -> np.ndarray | None:
        with self._reporting(source):
            image = source.picture()
            if self.sheets is not None and self.sheets.point is not None:
                check_point(self.sheets.point, image.shape[1], image.shape[0])
            return image
        return None

    def _batch(self, batch: list[tuple[Source, np.ndarray]]) -> None:
        results: Sequence[Segmentation] = []
        with self._reporting(*(source for source, _ in batch)):
            results = self._segment([image for _, image in batch])
        for (source, _), result in zip(batch, results, strict=bool(results)):
            with self._reporting(source):
                result = _with_source(result, source)
                paths = result.save(self.output, source.stem, source.overlay_suffix)
                self.export.add(result.label_map, result.image, source.file, source.stem)
                say(f"{source.name} -> {paths['overlay']}: {_largest(result.shares)}")
                if isinstance(result, Explanation) and self.sheets is not None:
                    self._save_sheet(result, source, self.sheets)
                self.done += 1

    def _segment(self, images: list[np.ndarray]) -> Sequence[Segmentation]:
        if self.sheets is not None:
            return [self.predictor.explain(image, self.vocabulary) for image in images]
        return self.predictor.batch(images, self.vocabulary)

    def _save_sheet(self, result: Explanation, source: Source, sheets: Sheets) -> None:
        """Write the contact sheet beside the other results."""
        path = source.outputs(self.output)["explain"]
        write_image(path, result.sheet(sheets.words, sheets.point))
        total = len(self.vocabulary.class_names)
        more = f"; --explain-words {total} shows all words" if total > sheets.words else ""
        if result.routes:
            x, y = sheets.point or result.middle
            more += f"; routes of the point {x},{y}"
            more += "" if sheets.point else ", --explain-point X,Y chooses another"
        say(f"{source.name} -> {path}: {min(total, sheets.words)} of {total} words{more}")

    def video(self, source: Source) -> None:
        """Segment a video or what a camera sees; Ctrl-C ends a camera's video."""
        paths = source.outputs(self.output)
        with self._reporting(source), contextlib.closing(VideoReader(source)) as reader:
            with atomic_path(paths["overlay"]) as temporary:
                writer = VideoWriter(temporary, reader.fps)
                totals, last = self._frames(source, reader, writer)
                writer.close()
                if not writer.frames:
                    raise ValueError("expected a video with frames, got none; save it anew")
                self._tell_missing_frames(source, reader)
            shares = {name: round(total / writer.frames, 6) for name, total in totals.items()}
            found = {"frames": writer.frames, "fps": reader.fps, "shares": shares}
            write_json(paths["json"], last | found)
            self.done += 1
            say(f"{source.name} -> {paths['overlay']}, {writer.frames} frames: {_largest(shares)}")

    def _tell_missing_frames(self, source: Source, reader: VideoReader) -> None:
        if reader.missing and reader.length:
            complain(
                f"warning: {source.name}: expected {reader.length} frames, as its header says, got "
                f"{reader.length - reader.missing}; it is cut short or damaged, and its overlay "
                "ends where it does"
            )

    def _frames(
        self, source: Source, reader: VideoReader, writer: VideoWriter
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Write the overlay of every frame.

        Returns:
            The sum of each class's shares, and the description of the last frame.
        """
        totals, last = dict.fromkeys(self.vocabulary.class_names, 0.0), {}
        length = min(filter(None, (reader.length, self.max_frames)), default=None)
        try:
            with Progress(length, "frame") as progress:
                for frames in reader.batches(self.batch_size, self.max_frames):
                    for result in self.predictor.batch(frames, self.vocabulary):
                        writer.write(result.overlay(legend="fixed"))
                        for name, share in result.shares.items():
                            totals[name] += share
                        last = _with_source(result, source).describe()
                    progress.update(len(frames))
        except KeyboardInterrupt:
            if not source.is_camera:
                raise
        return totals, last

    @contextlib.contextmanager
    def _reporting(self, *sources: Source) -> Iterator[None]:
        """Report what a user can mend and go on; stop where every other source would fail, too."""
        try:
            yield
        except (BrokenPipeError, OutputError):
            raise
        except Exception as error:
            message = _OUT_OF_MEMORY if _is_out_of_memory(error) else one_line(error)
            if message is None or tracebacks_wanted():
                raise
            if _hinders_all(error):
                reason = error.problem if isinstance(error, WriteError) else error.strerror
                raise ResultsError(
                    f"expected to write results to {str(self.output)!r}, got an error ({reason}); "
                    "make room or choose another --output"
                ) from error
            self.failed += len(sources)
            for source in sources:
                # A file that was fetched is called by its address.
                told = message
                if source.address:
                    told = message.replace(str(source.path), source.address)
                named = source.name in told
                complain(f"error: {told if named else f'{source.name}: {told}'}")


def _with_source(result: Segmentation, source: Source) -> Segmentation:
    return dataclasses.replace(result, source=source.name)


def _hinders_all(error: Exception) -> TypeGuard[OSError]:
    """Whether writing the next result would fail as well."""
    return isinstance(error, OSError) and not isinstance(error, ReadError) and error.errno in _FATAL


def _is_out_of_memory(error: Exception) -> bool:
    # On the CPU torch raises a plain RuntimeError.
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return on_cpu or isinstance(error, (MemoryError, torch.OutOfMemoryError))


def _largest(shares: dict[str, float], count: int = 5) -> str:
    """The classes with most pixels, in words, and of a short list those without any."""
    names = sorted((name for name in shares if shares[name] > 0), key=lambda name: -shares[name])
    text = ", ".join(f"{name} {shares[name]:.1%}" for name in names[:count])
    more = f" and {len(names) - count} more" if len(names) > count else ""
    absent = [name for name in shares if shares[name] == 0 and name != BACKGROUND]
    # Of a long list most are nowhere.
    told = f"; nowhere: {few(absent)}" if absent and len(shares) <= _FEW_WORDS else ""
    return f"{text}{more}{told}"
