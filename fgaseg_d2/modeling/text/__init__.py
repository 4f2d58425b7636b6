"""Text towers: words or captions -> embeddings in the joint space, cached."""

from .encoder import CLIPTextEncoder
from .templates import resolve_templates

__all__ = ["CLIPTextEncoder", "resolve_templates"]
