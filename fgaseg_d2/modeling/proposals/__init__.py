"""Class-agnostic segments of a picture: superpixels, SAM's masks, masks that are given or filed."""

from .building import from_config as proposals_from_config
from .given import given_masks
from .proposing import FiledSegments, GivenSegments, PictureSegments, Proposals, segments_of

__all__ = [
    "FiledSegments",
    "GivenSegments",
    "PictureSegments",
    "Proposals",
    "given_masks",
    "proposals_from_config",
    "segments_of",
]
