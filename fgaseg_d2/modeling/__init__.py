"""Models: importing this package registers them with Detectron2."""

from . import clip, fgaseg  # noqa: F401 (registration)
