"""Storybook: an endless picture book, drawn by a program, with a label for every pixel."""

import os

from .classes import (
    FULL_CLASSES,
    PRODUCTS,
    SEEN_CLASSES,
    STUFF_CLASSES,
    TRAINING_PRODUCTS,
    UNSEEN_CLASSES,
    find_products,
)
from .drawing import write_dataset
from .scenes import Scene, draw_scene


def register_storybook(root: str | os.PathLike | None = None) -> None:
    """Register the data sets of Storybook with Detectron2 (``registration.DATASETS``).

    Args:
        root: Folder that holds ``storybook/``; None takes the environment variable
            DETECTRON2_DATASETS, or ``datasets`` if it is not set.
    """
    # Drawing and writing scenes must not wait for Detectron2, which imports PyTorch.
    from .registration import register_storybook as register

    register(root)


__all__ = [
    "FULL_CLASSES",
    "PRODUCTS",
    "SEEN_CLASSES",
    "STUFF_CLASSES",
    "TRAINING_PRODUCTS",
    "UNSEEN_CLASSES",
    "Scene",
    "draw_scene",
    "find_products",
    "register_storybook",
    "write_dataset",
]
