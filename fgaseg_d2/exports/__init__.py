"""Results as other programs read them: regions, outlines, run lengths, a writer a format."""

from .export import FORMATS, Export
from .regions import LabelMap, Region

__all__ = ["FORMATS", "Export", "LabelMap", "Region"]
