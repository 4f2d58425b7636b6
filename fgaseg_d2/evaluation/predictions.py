"""Predictions on disk: one label file a picture and an index that says what they are.

Classes are those that are evaluated, after several of them became background. 8 bits a pixel, 16
above 255 classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from detectron2.utils import comm

from ..data.labels import LabelSpec
from ..io.file_errors import writing
from ..io.files import prepare_folder, write_image, write_json
from ..io.json_files import read_json
from ..io.regular_files import home_path, is_file
from ..wording import plain
from .truth import GroundTruth

INDEX = "predictions.json"
# What the index holds at the least, beside a "prediction" and the "truth" of each of its files.
_INDEX_TYPES = {
    "dataset": str,
    "classes": list,
    "ignore_label": int,
    "unseen_classes": list,
    "pictures": int,
    "run": dict,
}
_LABEL_ENDINGS = (".png", ".tif", ".tiff")


class PredictionWriter:
    """Writes the predictions of a test set; in a distributed run each rank those that it made."""

    def __init__(self, folder: str | Path, truth: GroundTruth, run: Mapping[str, Any] = {}):
        """Choose names for the files.

        Args:
            folder: made if it is not there.
            truth: of the test set.
            run: how the predictions were made, in plain types; goes into the index.
        """
        self.folder = Path(folder)
        self.truth = truth
        self.run = dict(run)
        self.names = prediction_names(truth.files)
        self._type = np.uint16 if len(truth.labels.classes) > 255 else np.uint8

    def start(self) -> None:
        """Remove the index of an earlier run, which the files will no longer match.

        Raises:
            WriteError: the folder cannot be made or written.
        """
        if comm.is_main_process():
            prepare_folder(self.folder)
            with writing(self.folder / INDEX):
                (self.folder / INDEX).unlink(missing_ok=True)

    def write(self, picture: str, prediction: np.ndarray) -> None:
        """Write one prediction.

        Args:
            picture: its name in the truth.
            prediction: H x W, classes.

        Raises:
            OSError: the file cannot be written.
        """
        write_image(self.folder / self.names[picture], prediction.astype(self._type))

    def finish(self, pictures: Collection[str]) -> None:
        """Write the index, which makes the predictions whole.

        Args:
            pictures: those that were predicted, by all ranks.
        """
        labels = self.truth.labels
        files = {
            picture: {"prediction": self.names[picture], "truth": truth}
            for picture, truth in self.truth.files.items()
            if picture in pictures
        }
        index = {
            "dataset": labels.dataset_name,
            "classes": list(labels.classes),
            "ignore_label": labels.ignore_label,
            "unseen_classes": list(self.truth.unseen_classes),
            "pictures": len(self.truth.files),
            "run": self.run,
            "files": files,
        }
        write_json(self.folder / INDEX, index)


def prediction_names(pictures: Collection[str]) -> dict[str, str]:
    """Name a PNG for each picture: its own name, with a number where two pictures share one."""
    stems = [PurePath(picture).stem for picture in pictures]
    # Some file systems do not tell "A.png" from "a.png".
    if len({stem.casefold() for stem in stems}) < len(stems):
        stems = [f"{number:06d}_{stem}" for number, stem in enumerate(stems)]
    return {picture: f"{stem}.png" for picture, stem in zip(pictures, stems, strict=True)}


@dataclass(frozen=True)
class SavedPredictions:
    """Predictions of a test set.

    Attributes:
        files: prediction file of each picture.
        truth: what they are scored against.
        pictures: number of pictures in the test set, predicted or not.
        run: how they were made; empty if that is not known.
        surplus: files in the folder that belong to no picture.
    """

    files: Mapping[str, Path]
    truth: GroundTruth
    pictures: int
    run: Mapping[str, Any] = field(default_factory=dict)
    surplus: tuple[Path, ...] = ()


def read_index(folder: str | Path) -> SavedPredictions:
    """Read what :class:`PredictionWriter` left.

    Args:
        folder: with predictions.json; paths of label files in it hold from the folder the
            predictions were made in.

    Raises:
        FileNotFoundError: no folder or no index.
        ValueError: the index is damaged.
    """
    folder = home_path(folder)
    path = folder / INDEX
    if not is_file(path):
        raise FileNotFoundError(
            f"expected {plain(path, 200)}, which ends a run with TEST.SAVE_PREDICTIONS True, got "
            "nothing; for label maps of another program say what they are scored against "
            "(--dataset or --truth)"
        )
    try:
        index = _checked_index(read_json(path))
        labels = LabelSpec(index["dataset"], tuple(index["classes"]), index["ignore_label"])
        files = index["files"]
        truth = GroundTruth(
            labels,
            {picture: pair["truth"] for picture, pair in files.items()},
            unseen_classes=tuple(index["unseen_classes"]),
        )
    except ValueError as error:
        raise ValueError(
            f"{path}: expected the index of saved predictions, got an error ({error}); make the "
            "predictions anew"
        ) from error
    predictions = {picture: folder / pair["prediction"] for picture, pair in files.items()}
    surplus = surplus_files(folder, predictions)
    return SavedPredictions(predictions, truth, index["pictures"], index["run"], surplus)


def _checked_index(index: Any) -> dict[str, Any]:
    """An index with all its entries, those that may be left out included.

    Raises:
        ValueError: one is missing or of another type.
    """
    index = _of_type(index, dict, "the whole")
    count = len(_of_type(index.get("files"), dict, "files"))
    index = {"unseen_classes": [], "pictures": count, "run": {}} | index
    for key, kind in _INDEX_TYPES.items():
        _of_type(index.get(key), kind, key)
    for key in ("classes", "unseen_classes"):
        for name in index[key]:
            _of_type(name, str, f"a name in {key}")
    if not index["classes"]:
        raise ValueError("expected at least one name in classes, got none")
    for picture, pair in index["files"].items():
        for key in ("prediction", "truth"):
            entry = _of_type(pair, dict, f"files, {picture}").get(key)
            _of_type(entry, str, f"files, {picture}, {key}")
    return index


def _of_type(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        found = "nothing" if value is None else type(value).__name__
        raise ValueError(f"expected {what} as {kind.__name__}, got {found}")
    return value


def label_files(folder: str | Path) -> dict[str, Path]:
    """The label files (PNG or TIFF) of a folder by name without ending.

    Raises:
        FileNotFoundError: no such folder, or an empty one.
        ValueError: two files that differ in their ending only.
    """
    folder = home_path(folder)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in _LABEL_ENDINGS or path.name.startswith("."):
            continue
        if path.stem in found:
            raise ValueError(
                f"expected one label file of a name, got {found[path.stem]} and {path.name}; "
                "remove one"
            )
        found[path.stem] = path
    if not found:
        raise FileNotFoundError(
            f"expected label files (PNG or TIFF) in {folder}, got none; check the path"
        )
    return found


def surplus_files(folder: Path, files: Mapping[str, Path]) -> tuple[Path, ...]:
    """Label files of a folder that are none of those that are known, by picture."""
    known = set(files.values())
    return tuple(
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _LABEL_ENDINGS
        and not path.name.startswith(".")
        and path not in known
    )
