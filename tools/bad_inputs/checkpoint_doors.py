"""Where a checkpoint is given to, and how torch writes one."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bad_inputs.case import Case, Draw
from bad_inputs.doors import command, load_into_model
from fgaseg_d2.checkpoint.files import read_checkpoint


def saved(content: Any, zipped: bool = True) -> bytes:
    """The bytes of a file of torch.save, in its present or its former format."""
    torch.save(content, stream := io.BytesIO(), _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _read(path: str) -> None:
    for name, value in read_checkpoint(path)["model"].items():
        assert isinstance(value, Tensor), f"{name} is {type(value).__name__}"


def checkpoint_door(draw: Draw, path: Path | str) -> Callable[[], int | None]:
    """One of the doors that take a checkpoint."""
    path = str(path)
    return draw.rng.choice(
        (
            partial(_read, path),
            partial(_read, path),
            partial(load_into_model, draw.material, path),
            partial(command, "convert_checkpoint", [path, "converted.safetensors"]),
        )
    )


def file_case(draw: Draw, name: str, data: bytes, text: str) -> Case:
    """A file, for one of the doors that take a checkpoint."""
    return Case(text, checkpoint_door(draw, draw.write(name, data)))
