"""Registered datasets, and how their samples reach the model.

Importing registers Storybook and the benchmarks; nothing is read before a dataset is used.
"""

from ..vocabulary.catalog import use_catalog
from .datasets.captions import register_captions
from .datasets.catalog import Detectron2Catalog
from .datasets.folders import register_folders
from .datasets.registration import register_benchmarks
from .datasets.shards import register_caption_shards
from .datasets.storybook import register_storybook

use_catalog(Detectron2Catalog())
register_storybook()
register_benchmarks()

__all__ = [
    "register_benchmarks",
    "register_caption_shards",
    "register_captions",
    "register_folders",
    "register_storybook",
]
