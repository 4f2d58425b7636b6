"""The parts of the Storybook data set: how many scenes, which seeds, which label maps, where."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..io.file_errors import reading
from ..io.json_files import read_json
from ..io.regular_files import home_path
from ..wording import shown
from .canvas import check_sides
from .classes import PRODUCTS, TRAINING_PRODUCTS, Product
from .vocabularies import (
    ATTRIBUTE_WORDS,
    FULL,
    GENERALIZED,
    NOUNS,
    SEEN,
    TRAINING_FULL,
    TRANSDUCTIVE,
    UNSEEN,
    StorybookVocabulary,
)

VERSION = 2  # raise it with any change of the drawn pixels
SEEDS_PER_SPLIT = 10_000_000
_SEEDS_PER_BASE = 100_000_000
INFO_NAME = "dataset.json"
CAPTIONS_FOLDER = "captions"


@dataclass(frozen=True)
class Split:
    """A part of the data set.

    Attributes:
        count: Number of scenes if nothing else is asked for.
        products: What the things of its scenes are chosen from.
        suffix: Ending of the pictures; PNG keeps every pixel as it was drawn.
        vocabularies: Those that it has label maps in; a split without any shows details of scenes
            with captions.
        side: Rows and columns of its pictures in pixels if nothing else is asked for.
    """

    count: int
    products: tuple[Product, ...]
    suffix: str
    vocabularies: tuple[StorybookVocabulary, ...] = ()
    side: int = 256

    @property
    def companions(self) -> dict[str, str]:
        """Folders beside ``images``, with the ending of the file of each scene in them."""
        if not self.vocabularies:
            return {CAPTIONS_FOLDER: ".txt"}
        return {vocabulary.folder: ".png" for vocabulary in self.vocabularies}


SPLITS: dict[str, Split] = {
    "train": Split(
        20_000, TRAINING_PRODUCTS, ".jpg", (SEEN, NOUNS, ATTRIBUTE_WORDS, TRAINING_FULL)
    ),
    "val": Split(300, TRAINING_PRODUCTS, ".png", (SEEN,)),
    "test": Split(500, PRODUCTS, ".png", (SEEN, UNSEEN, GENERALIZED, NOUNS, ATTRIBUTE_WORDS, FULL)),
    # The last ones hold nothing out: to choose with, and to train on without labels of the unseen.
    "generalized_val": Split(300, PRODUCTS, ".png", (GENERALIZED, NOUNS)),
    "transductive": Split(10_000, PRODUCTS, ".jpg", (TRANSDUCTIVE,)),
    "captions_train": Split(20_000, TRAINING_PRODUCTS, ".jpg", side=112),
    "captions_val": Split(1_000, TRAINING_PRODUCTS, ".png", side=112),
}


@dataclass(frozen=True)
class Settings:
    """What a split on disk was drawn with.

    Attributes:
        split: One of :data:`SPLITS`.
        count: Number of scenes, 1 .. 10 000 000.
        seed: Seed of the whole data set, 0 or more.
        height: Rows of a scene in pixels, 32 .. 4096.
        width: Columns of a scene in pixels, 32 .. 4096.

    Raises:
        ValueError: One of them is out of range.
    """

    split: str
    count: int
    seed: int
    height: int
    width: int

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, before a folder gets these settings."""
        _check_split(self.split)
        if not 0 < self.count <= SEEDS_PER_SPLIT:
            raise ValueError(f"expected a count of 1 .. {SEEDS_PER_SPLIT}, got {self.count}")
        if self.seed < 0:
            raise ValueError(f"expected a seed of 0 or more, got {self.seed}")
        check_sides(self.height, self.width)

    @classmethod
    def complete(
        cls,
        split: str,
        count: int | None = None,
        seed: int = 0,
        height: int | None = None,
        width: int | None = None,
    ) -> Settings:
        """Settings whose None become what the published data set has.

        Raises:
            ValueError: There is no such split, or one of them is out of range.
        """
        _check_split(split)
        shape = SPLITS[split]
        return cls(
            split,
            shape.count if count is None else count,
            seed,
            shape.side if height is None else height,
            shape.side if width is None else width,
        )

    @classmethod
    def read(cls, folder: Path) -> Settings | None:
        """Settings that a folder of scenes was drawn with, None if it has none yet.

        Raises:
            ValueError: It was drawn by another version of Storybook, or the file is damaged.
            ReadError: It cannot be told.
        """
        path = folder / INFO_NAME
        try:
            info = read_json(path)
            version = info.pop("version")
            if version == VERSION:
                return cls(**info)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ValueError(
                f"expected the settings of a Storybook split in {path}, got something else "
                f"({error}): remove {folder}"
            ) from error
        raise ValueError(
            f"expected version {VERSION} of Storybook in {folder}, got version {version}: remove "
            "it or choose another root"
        )

    def to_json(self) -> str:
        """The text of the file that :meth:`read` reads."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n"

    def finished_in(self, folder: Path) -> bool:
        """Tell whether a folder holds all of the scenes.

        Raises:
            ValueError: It was drawn with other settings.
        """
        found = Settings.read(folder)
        if found is None or found == self:
            return found is not None and len(finished_scenes(folder, self.split)) >= self.count
        wanted, got = asdict(self), asdict(found)
        differing = [key for key in wanted if wanted[key] != got[key]]
        raise ValueError(
            f"expected {folder / INFO_NAME} to say { ({key: wanted[key] for key in differing}) }, "
            f"got { ({key: got[key] for key in differing}) }: remove {folder} or choose another "
            "root"
        )


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"expected a split of {', '.join(SPLITS)}, got {shown(split)}")


def split_folder(root: str | os.PathLike, split: str) -> Path:
    """Folder of a split, ``<root>/storybook/<split>``.

    Args:
        root: Folder that holds all data sets.
        split: One of :data:`SPLITS`.

    Returns:
        The folder; it need not exist.

    Raises:
        ValueError: There is no such split.
    """
    _check_split(split)
    return home_path(root) / "storybook" / split


def scene_seed(split: str, index: int, seed: int = 0) -> int:
    """Seed of a scene; no two splits share one, and seeds 90 000 000 to 99 999 999 are in none.

    Args:
        split: One of :data:`SPLITS`.
        index: Position of the scene in its split, 0 .. 9 999 999.
        seed: Seed of the whole data set, 0 or more.

    Returns:
        A seed for :func:`scenes.draw_scene`.
    """
    return seed * _SEEDS_PER_BASE + list(SPLITS).index(split) * SEEDS_PER_SPLIT + index


def scene_name(index: int) -> str:
    """Name of a scene's files without their ending."""
    return f"{index:06d}"


def finished_scenes(folder: Path, split: str) -> list[str]:
    """Names of the scenes of which the picture and all that goes with it are there, in order."""
    names = _stems(folder / "images", SPLITS[split].suffix)
    for companion, suffix in SPLITS[split].companions.items():
        names &= _stems(folder / companion, suffix)
    return sorted(names)


def _stems(folder: Path, suffix: str) -> set[str]:
    try:
        with reading(folder):
            names = os.listdir(folder)
    except FileNotFoundError:
        return set()
    # Files that are being written have a dot in front.
    return {name[: -len(suffix)] for name in names if name.endswith(suffix) and name[0] != "."}
