"""Prompts through CLIP's text tower, without the padding behind them."""

from typing import Any

import torch
from open_clip.transformer import text_global_pool
from torch import Tensor, nn
from torch.nn import functional as F


def encode_prompts(clip: Any, tokens: Tensor, batch_size: int) -> Tensor:
    """Encode prompts.

    A causal tower that reads its result at the end-of-text token never sees what stands behind it,
    so prompts of about the same length go through together, cut behind the longest: a sentence has
    some ten tokens, the context 77.

    Nothing of a call is left in the tower, so that several threads may share it.

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
        parts.append(_encode_cut(_text_part(clip), tokens[batch, :longest]))
    return torch.cat(parts)[order.argsort()]


def describe_tower(clip: Any) -> str:
    """What a text tower computes, its weights apart: towers of one description are one function."""
    text = _text_part(clip)
    heads = [block.attn.num_heads for block in text.transformer.resblocks]
    return f"{text} heads {heads} reads at the end of text {_reads_at_the_end_of_text(clip)}"


def _text_part(clip: Any) -> Any:
    """Towers with a class of their own (CustomTextCLIP) keep the text part in `text`."""
    return getattr(clip, "text", clip)


def _reads_at_the_end_of_text(clip: Any) -> bool:
    text = _text_part(clip)
    pooling = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", None)
    # open_clip's mask is the causal one, where there is any; CoCa puts a CLS token behind the text.
    causal = text.attn_mask is not None and getattr(text, "cls_emb", None) is None
    return pooling == "argmax" and causal


def _encode_cut(text: Any, tokens: Tensor) -> Tensor:
    """What open_clip's `encode_text` computes, of prompts shorter than the context.

    Args:
        text: the text part of an open_clip model, which reads at the end-of-text token.
        tokens: N x length, the length at most the context's.

    Returns:
        N x C, unit norm.
    """
    length = tokens.shape[1]
    dtype = text.transformer.get_cast_dtype()
    x = text.token_embedding(tokens).to(dtype)
    x = x + text.positional_embedding[:length].to(dtype)
    x = text.transformer(x, attn_mask=text.attn_mask[:length, :length])
    x = text_global_pool(text.ln_final(x), tokens, "argmax")
    if isinstance(text.text_projection, nn.Linear):
        x = text.text_projection(x)
    elif text.text_projection is not None:
        x = x @ text.text_projection
    return F.normalize(x, dim=-1)
