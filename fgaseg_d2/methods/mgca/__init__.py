"""MGCA: segmentation learned from captions alone, on three levels (arXiv 2403.03707)."""

from . import config  # noqa: F401 (registration)
from .meta_arch import MGCA

__all__ = ["MGCA"]
