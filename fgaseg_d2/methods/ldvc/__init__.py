"""LDVC: class anchors and visual consensus for zero-shot segmentation (arXiv 2403.08426)."""

from . import config  # noqa: F401 (registration)
from .head import LDVCHead
from .meta_arch import LDVC

__all__ = ["LDVC", "LDVCHead"]
