"""The keys that this package adds to Detectron2's configuration, and how files become one."""

from .keys import add_fgaseg_config
from .loading import find_config, load_config

__all__ = ["add_fgaseg_config", "find_config", "load_config"]
