"""Checkpoints: files and addresses, formats, and loading them without running code from them."""

from .checkpointer import FGASegCheckpointer, LoadReport, recognise

__all__ = ["FGASegCheckpointer", "LoadReport", "recognise"]
