"""Contrastive training of a CLIP of one's own (arXiv 2103.00020)."""

from . import config  # noqa: F401 (registration)
from .meta_arch import CLIPPretraining

__all__ = ["CLIPPretraining"]
