"""Checkpoints: files and addresses, formats, and loading them without running code from them."""

from .checkpointer import FGASegCheckpointer, LoadReport
from .formats import recognise

__all__ = ["FGASegCheckpointer", "LoadReport", "recognise"]
