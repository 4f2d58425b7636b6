"""What a training writes beside its checkpoints, with errors that say what to do."""

import contextlib
import os

from detectron2.engine import default_writers
from detectron2.utils.events import EventWriter, JSONWriter, TensorboardXWriter

from ..io.file_errors import FileError, writing

_THEN = "continue with --resume; checkpoints are intact"

_LONGEST_LINE = 2**20  # bytes


def build_writers(output_dir: str, max_iter: int) -> list[EventWriter]:
    """Build Detectron2's writers: the log, metrics.json and the events of TensorBoard.

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
    return [_Explaining(w, places[type(w)]) if type(w) in places else w for w in writers]


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
