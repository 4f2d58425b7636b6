"""CLIP alone, read densely: a baseline without a method on top."""

from .head import DenseCLIPHead

__all__ = ["DenseCLIPHead"]
