"""Words: what a person wrote becomes a `Vocabulary`, once; names no deep-learning library."""

from .vocabulary import BACKGROUND, Vocabulary

__all__ = ["BACKGROUND", "Vocabulary"]
