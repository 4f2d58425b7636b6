"""What a writer of a format gets, and what it must do."""

from __future__ import annotations

import abc
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np

from ..io.file_errors import writing
from ..io.files import atomic_path
from ..vocabulary.vocabulary import BACKGROUND
from .regions import LabelMap, Region


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A segmented picture.

    Args:
        stem: begin of the names of its files, unique among the pictures of a run.
        file_name: what a dataset calls it: its path below the folder of all pictures, with "/".
        label_map: its labels.
        pixels: H x W x 3, uint8, RGB.
        path: its file; None if it has none.
    """

    stem: str
    file_name: str
    label_map: LabelMap
    pixels: np.ndarray
    path: Path | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Settings:
    """What is the same for all pictures of a run.

    Args:
        class_names: K display names; "background" is what is of no interest.
        colors: K x 3, uint8, RGB.
        pieces: formats that take both get each connected piece as a region of its own, instead of
            all pixels of a class in one.
        smallest: pixels of a region, at least; smaller ones are left out of the formats that list
            regions.
    """

    class_names: Sequence[str]
    colors: np.ndarray
    pieces: bool = False
    smallest: int = 1

    @property
    def objects(self) -> dict[int, str]:
        """Index and name of each class but "background"."""
        return {k: name for k, name in enumerate(self.class_names) if name != BACKGROUND}

    @property
    def object_colors(self) -> dict[str, str]:
        """The objects' names, each once, and their colors such as "#1f77b4"."""
        colors: dict[str, str] = {}
        for index, name in self.objects.items():
            colors.setdefault(name, "#" + bytes(self.colors[index].tolist()).hex())
        return colors

    def regions(self, picture: Picture) -> Iterator[Region]:
        """The regions of a picture, for formats that take both kinds."""
        return picture.label_map.objects(self.pieces, self.smallest)

    def single_pieces(self, picture: Picture) -> Iterator[Region]:
        """The connected pieces of a picture, for formats of polygons."""
        return picture.label_map.objects(True, self.smallest)


class Writer(abc.ABC):
    """Writes pictures in one format.

    Args:
        folder: of this format's files; it is made when something is written.
        settings: of the run.

    Raises:
        ValueError: the format cannot hold these classes.
        ImportError: it needs a library that is not installed.
    """

    # What a command line says about the format, in a few words.
    about: ClassVar[str]

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings

    @classmethod
    def own_files(cls, stem: str) -> tuple[str, ...]:
        """Files below the folder that a picture gets for itself."""
        return ()

    @abc.abstractmethod
    def add(self, picture: Picture) -> None:
        """Write a picture, or keep it for the file of all pictures.

        Raises:
            WriteError: a file cannot be written.
        """

    def close(self) -> None:  # noqa: B027 (formats with a file for each picture are done)
        """Write what is of all pictures.

        Raises:
            WriteError: a file cannot be written.
        """


class Spool:
    """Texts that wait on disk for the file that they become a part of, however many there are.

    Args:
        folder: where there is room for them; the file has no name there.
        separator: between two texts.
    """

    def __init__(self, folder: Path, separator: str = ",\n") -> None:
        self._folder, self._separator = folder, separator
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by close)
        self.count = 0

    def append(self, text: str) -> None:
        """Keep a text."""
        with writing(self._folder):
            self._file.write(encoded(self._separator if self.count else "") + encoded(text))
        self.count += 1

    def copy_to(self, file: BinaryIO) -> None:
        """Write all texts into another file."""
        self._file.seek(0)
        shutil.copyfileobj(self._file, file)
        self._file.seek(0, 2)

    def close(self) -> None:
        """Let go of the texts."""
        self._file.close()


def write_parts(path: Path, *parts: str | Spool) -> None:
    """Write texts and what spools hold one behind the other.

    Raises:
        WriteError: the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for part in parts:
            if isinstance(part, Spool):
                part.copy_to(file)
            else:
                file.write(encoded(part))


def encoded(text: str) -> bytes:
    """UTF-8; of names of files that are none, the escapes."""
    return text.encode("utf-8", "backslashreplace")
