"""Golden files: what is recorded in them, and the weights, pictures and targets they came from."""

import dataclasses
import functools
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fgaseg_d2.io.regular_files import require_file

CELL = 32  # the targets of a training step are square cells of this many pixels ...
CELLS = 12  # ... and where that does not divide the picture, this many a side
IGNORED = 255
# What describes a recording; everything else in a file is an output.
ABOUT = ("names", "config", "opts", "image_size", "target_seed", "trainable")


@dataclasses.dataclass(frozen=True)
class Golden:
    """One golden file.

    Args:
        name: of the file, without ending.
        config: name of the reference's configuration.
        opts: overrides of it, keys and values in turn.
        arrays: everything that was recorded, by name.
    """

    name: str
    config: str
    opts: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    @property
    def names(self) -> list[str]:
        """The classes; of several synonyms (comma and blank) the reference uses the first."""
        return [str(name).split(", ")[0] for name in self.arrays["names"]]

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        """What was computed, by name."""
        return {name: array for name, array in self.arrays.items() if name not in ABOUT}

    @property
    def is_training(self) -> bool:
        """Whether a training step was recorded."""
        return "loss" in self.arrays

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        height, width = self.arrays.get("image_size", (384, 384))
        return int(height), int(width)


def read_golden(path: Path) -> Golden:
    """Read a golden file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is none.
    """
    require_file(path, "a golden file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        config, opts = str(arrays["config"]), tuple(str(word) for word in arrays["opts"])
        if "names" not in arrays or not {"loss", "image_size"} & arrays.keys():
            raise KeyError("names, image_size or loss")
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"expected a golden file with config, opts, names and image_size or loss, got {path} "
            f"({error})."
        ) from error
    return Golden(path.stem, config, opts, arrays)


def drawn_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights drawn from parameter names.

    Args:
        shapes: by the reference's names.

    Returns:
        float32 tensors by the same names; counters and masks are left out.
    """
    return {
        name: _drawn(name, tuple(shape))
        for name, shape in shapes.items()
        if not name.endswith(("attn_mask", "num_batches_tracked"))
    }


@functools.lru_cache(maxsize=1024)
def _drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    x = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        x = np.exp(0.1 * x)
    elif not shape:
        x = np.log(1 / 0.07)  # CLIP's temperature
    elif len(shape) == 1:
        x = 1 + 0.1 * x if name.endswith("weight") else 0.1 * x
    else:
        x = x / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(x, np.float32))


def drawn_image(height: int, width: int) -> Tensor:
    """A picture of waves: 3 x height x width, RGB, range 0..255."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = (
        np.sin(x / 23) * np.cos(y / 17),
        np.sin((x + y) / 31),
        np.cos(np.hypot(x - width / 2, y - height / 3) / 13),
    )
    return torch.from_numpy(np.round(127.5 * (1 + np.stack(waves))).astype(np.float32))


def drawn_targets(classes: int, height: int, width: int, seed: int = 7) -> Tensor:
    """Two label maps of random cells, 2 x height x width; label `classes` becomes ignored.

    Raises:
        ValueError: cells do not fill the picture, or there are too many classes for labels below
            the ignored one.
    """
    if classes > IGNORED:
        raise ValueError(f"expected at most {IGNORED} classes in a training step, got {classes}.")
    rows, columns = (_cells(side) for side in (height, width))
    cells = np.random.RandomState(seed).randint(0, classes + 1, (2, rows, columns))
    labels = np.where(cells == classes, IGNORED, cells)
    return torch.from_numpy(labels.repeat(height // rows, 1).repeat(width // columns, 2))


def _cells(side: int) -> int:
    """Cells along a side of the picture, in pixels."""
    if side % CELL and side % CELLS:
        raise ValueError(
            f"expected a training picture with sides in multiples of {CELL} or {CELLS}, got {side}."
        )
    return CELLS if side % CELL else side // CELL
