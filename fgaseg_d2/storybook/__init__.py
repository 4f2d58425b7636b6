"""Storybook: an endless picture book, drawn by a program, with a label for every pixel."""

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
    "write_dataset",
]
