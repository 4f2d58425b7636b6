"""One folder a paper; importing this package registers all of them with Detectron2."""

from . import clip_pretraining, dense_clip, fgaseg, ldvc, mgca, use

__all__ = ["clip_pretraining", "dense_clip", "fgaseg", "ldvc", "mgca", "use"]
