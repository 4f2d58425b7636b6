"""Prompts through CLIP's text tower, without the padding behind them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def encode_prompts(clip: nn.Module, tokens: Tensor, batch_size: int) -> Tensor:
    """Encode prompts.

    A causal tower that reads its result at the end-of-text token never sees what stands behind it,
    so prompts of about the same length go through together, cut behind the longest: a sentence has
    some ten tokens, the context 77.

    Args:
        clip: an open_clip model.
        tokens: N x context length.
        batch_size: prompts that go through the tower together, which bounds the memory.

    Returns:
        N x C, unit norm.
    """
    if not _reads_at_the_end_of_text(clip):
        parts = [clip.encode_text(part, normalize=True) for part in tokens.split(batch_size)]
        return torch.cat(parts)
    # The end-of-text token has the highest number.
    lengths = tokens.argmax(dim=1) + 1
    order = lengths.argsort(stable=True)
    parts = []
    for batch in order.split(batch_size):
        longest = int(lengths[batch[-1]])
        with _cut_behind(_text_part(clip).transformer, longest, tokens.shape[1]):
            parts.append(clip.encode_text(tokens[batch], normalize=True))
    return torch.cat(parts)[order.argsort()]


def _text_part(clip: nn.Module) -> nn.Module:
    """Towers with a class of their own (CustomTextCLIP) keep the text part in `text`."""
    return getattr(clip, "text", clip)


def _reads_at_the_end_of_text(clip: nn.Module) -> bool:
    text = _text_part(clip)
    pooling = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", None)
    # open_clip's mask is the causal one, where there is any; CoCa puts a CLS token behind the text.
    causal = text.attn_mask is not None and getattr(text, "cls_emb", None) is None
    return pooling == "argmax" and causal


@contextmanager
def _cut_behind(transformer: nn.Module, length: int, context: int) -> Iterator[None]:
    """While open, the transformer computes the first `length` tokens, and the others become 0."""

    def cut(_module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
        mask = kwargs["attn_mask"][:length, :length]
        return (args[0][:, :length],), kwargs | {"attn_mask": mask}

    def lengthen(_module: nn.Module, _args: tuple, tokens: Tensor) -> Tensor:
        return F.pad(tokens, (0, 0, 0, context - length))

    hooks = (
        transformer.register_forward_pre_hook(cut, with_kwargs=True),
        transformer.register_forward_hook(lengthen),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
