"""FGAseg: fine-grained pixel-text alignment (arXiv 2501.00877).

Files in the order of the pipeline: meta_arch, head, p2tformer, supplementation, aggregation,
decoder, losses.
"""

from . import config, formats  # noqa: F401 (registration)
from .head import FGASegHead
from .meta_arch import FGASeg

__all__ = ["FGASeg", "FGASegHead"]
