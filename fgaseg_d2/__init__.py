"""Open-vocabulary semantic segmentation for Detectron2.

Importing this package registers its models and datasets with Detectron2; `add_fgaseg_config` adds
the configuration keys.
"""

import warnings

from ._moved import keep_old_names
from ._requirements import check_requirements

__version__ = "0.1.0"

check_requirements()
keep_old_names()

# The rest needs what was checked just now. While Detectron2 is imported, fvcore compiles a function
# with torch.jit.script, which PyTorch tells every process to be out of date.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", r".*torch\.jit\.script", FutureWarning)
    from . import checkpoint, data, methods  # noqa: F401 (registration)
from .config import add_fgaseg_config  # noqa: E402
from .predict import OpenVocabPredictor  # noqa: E402
from .vocabulary import Vocabulary  # noqa: E402

__all__ = ["OpenVocabPredictor", "Vocabulary", "add_fgaseg_config"]
