"""CLIP alone, read densely: a baseline without a method on top."""

from . import config  # noqa: F401 (registration)
from .head import DenseCLIPHead
from .meta_arch import DenseCLIP

__all__ = ["DenseCLIP", "DenseCLIPHead"]
