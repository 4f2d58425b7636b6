"""All kinds of inputs, and the numbers they are drawn from."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bad_inputs import (
    checkpoint_contents,
    checkpoints,
    clip_files,
    command_lines,
    configurations,
    datasets,
    labels,
    pictures,
    predictions,
    vocabularies,
)
from bad_inputs.case import Case, Draw, Recipes, draw_case
from bad_inputs.material import Material

KINDS: dict[str, Recipes] = {
    "checkpoint": {**checkpoints.RECIPES, **checkpoint_contents.RECIPES, **clip_files.RECIPES},
    "configuration": configurations.RECIPES,
    "picture": pictures.RECIPES,
    "label": labels.RECIPES,
    "vocabulary": vocabularies.RECIPES,
    "command": command_lines.RECIPES,
    "dataset": datasets.RECIPES,
    "prediction": predictions.RECIPES,
}


def make_case(kind: str, number: int, seed: int, material: Material, folder: Path) -> Case:
    """Draw an input; the same arguments give the same, whatever else is tried.

    Args:
        kind: one of :data:`KINDS`.
        number: which of its inputs, from 0.
        seed: of all inputs.
        material: what inputs share.
        folder: for its files.
    """
    rng = random.Random(f"{seed} {kind} {number}")
    torch.manual_seed(rng.getrandbits(32))
    np.random.seed(rng.getrandbits(32))
    return draw_case(KINDS[kind], number, Draw(rng, folder, material))


def maker(kind: str, number: int, seed: int, material: Material) -> partial[Case]:
    """:func:`make_case` for all but the folder."""
    return partial(make_case, kind, number, seed, material)
