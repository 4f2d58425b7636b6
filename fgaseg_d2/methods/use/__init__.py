"""USE: universal segment embeddings (arXiv 2406.05271)."""

from . import config  # noqa: F401 (registration)
from .head import USEHead
from .meta_arch import USE

__all__ = ["USE", "USEHead"]
