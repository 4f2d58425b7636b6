"""Open-vocabulary semantic segmentation for Detectron2.

Importing this package registers the models with Detectron2; `add_fgaseg_config` adds their
configuration keys.
"""

__version__ = "0.1.0"

from . import checkpoint, modeling  # noqa: F401 (registration)
from .config import add_fgaseg_config
from .vocabulary import Vocabulary

__all__ = ["Vocabulary", "add_fgaseg_config"]
