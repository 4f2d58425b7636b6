"""What a training writes beside its checkpoints, with errors that say what to do."""

import contextlib
import logging
import os

from detectron2.engine import default_writers
from detectron2.utils.events import EventWriter, JSONWriter, TensorboardXWriter, get_event_storage

from ..io.file_errors import FileError, writing

_THEN = "continue with --resume; checkpoints are intact"

_LONGEST_LINE = 2**20  # bytes
_WINDOW = 20  # iterations, as Detectron2's

logger = logging.getLogger(__name__)


def build_writers(output_dir: str, max_iter: int) -> list[EventWriter]:
    """Build Detectron2's writers: the log, metrics.json and the events of TensorBoard.

    The log says how many pictures were seen as well.

    Args:
        output_dir: made if it is not there.
        max_iter: number of iterations.

    Raises:
        WriteError: it cannot be written.
    """
    metrics = os.path.join(output_dir, "metrics.json")
    with writing(output_dir, "", _THEN):
        _drop_half_line(metrics)
        writers = default_writers(output_dir, max_iter)
    places = {JSONWriter: metrics, TensorboardXWriter: output_dir}
    known = [_Explaining(w, places[type(w)]) if type(w) in places else w for w in writers]
    return [_PicturePrinter(max_iter), *known]


class _PicturePrinter(EventWriter):
    """Logs how many pictures of how many were seen, and how many a second.

    Args:
        max_iter: number of iterations.
    """

    def __init__(self, max_iter: int) -> None:
        self._max_iter = max_iter

    def write(self) -> None:
        """Log a line, where the loop counts pictures."""
        storage = get_event_storage()
        if "pictures" not in storage.histories() or storage.iter >= self._max_iter:
            return
        seen = storage.history("pictures").latest()
        total = seen / (storage.iter + 1) * self._max_iter
        rate = storage.history("throughput").median(_WINDOW)
        logger.info("pictures: %s of %s, %.4g a second", f"{seen:,.0f}", f"{total:,.0f}", rate)


class _Explaining(EventWriter):
    """Another writer, whose first failure is explained; after that it writes nothing."""

    def __init__(self, writer: EventWriter, path: str):
        self._writer, self._path = writer, path
        self._failed = False

    def write(self) -> None:
        """Write what is new.

        Raises:
            WriteError: it cannot be written.
        """
        if self._failed:
            return
        try:
            with writing(self._path, "", _THEN):
                self._writer.write()
        except FileError:
            self._failed = True
            raise

    def close(self) -> None:
        """Close the file.

        Raises:
            WriteError: what was left to write cannot be written.
        """
        if self._failed:
            with contextlib.suppress(OSError):
                self._writer.close()
            return
        with writing(self._path, "", _THEN):
            self._writer.close()


def _drop_half_line(path: str) -> None:
    """Cut off what a run that was killed, or met a full disk, left of a last line."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_LINE))
        end = file.read()
        if end and not end.endswith(b"\n"):
            file.truncate(size - len(end) + end.rfind(b"\n") + 1)
