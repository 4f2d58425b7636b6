"""Prompts through CLIP's text tower, without the padding behind them."""

from typing import Any

import torch
from open_clip.hf_configs import arch_dict
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import text_global_pool
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def encode_prompts(
    clip: Any, tokens: Tensor, batch_size: int, block_tokens: Tensor | None = None
) -> Tensor:
    """Encode prompts.

    A causal tower that reads its result at the end-of-text token never sees what stands behind it,
    so prompts of about the same length go through together, cut behind the longest: a sentence has
    some ten tokens, the context 77.

    Nothing of a call is left in the tower, so that several threads may share it.

    Args:
        clip: an open_clip model.
        tokens: N x context length.
        batch_size: prompts that go through the tower together, which bounds the memory.
        block_tokens: blocks x n x width, what to put in place of the n tokens behind the first,
            before each block; None to leave them. Only where `reads_at_the_end_of_text`.

    Returns:
        N x C, unit norm.
    """
    if not reads_at_the_end_of_text(clip):
        parts = [clip.encode_text(part, normalize=True) for part in tokens.split(batch_size)]
        return torch.cat(parts)
    # The end-of-text token has the highest number.
    lengths = tokens.argmax(dim=1) + 1
    order = lengths.argsort(stable=True)
    parts = []
    for batch in order.split(batch_size):
        longest = int(lengths[batch[-1]])
        parts.append(_encode_cut(text_part(clip), tokens[batch, :longest], block_tokens))
    return torch.cat(parts)[order.argsort()]


def describe_tower(clip: Any) -> str:
    """What a text tower computes, its weights apart: towers of one description are one function."""
    text = text_part(clip)
    if isinstance(text, HFTextEncoder):
        return f"{text} {text.config}"
    heads = [block.attn.num_heads for block in text.transformer.resblocks]
    return f"{text} heads {heads} reads at the end of text {reads_at_the_end_of_text(clip)}"


def blocks_of(clip: Any) -> nn.ModuleList:
    """The transformer blocks of a text tower."""
    text = text_part(clip)
    if not isinstance(text, HFTextEncoder):
        return text.transformer.resblocks
    encoder = getattr(text.transformer, "encoder", text.transformer)
    return getattr(encoder, arch_dict[text.config.model_type]["config_names"]["layer_attr"])


@torch.no_grad()
def states_before_blocks(clip: Any, tokens: Tensor, count: int) -> Tensor:
    """What stands at the places behind the first before each block.

    The tower is causal, so that it depends on the tokens up to there alone.

    Args:
        clip: an open_clip model for which `reads_at_the_end_of_text`.
        tokens: length, of one prompt.
        count: n, how many places.

    Returns:
        blocks x n x width.
    """
    text = text_part(clip)
    x, mask = _embed(text, tokens[None, : 1 + count])
    states = []
    for block in text.transformer.resblocks:
        states.append(x[0, 1:])
        x = block(x, attn_mask=mask)
    return torch.stack(states)


def reads_at_the_end_of_text(clip: Any) -> bool:
    """Whether a tower is causal and reads its result at the end-of-text token."""
    text = text_part(clip)
    pooling = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", None)
    # open_clip's mask is the causal one, where there is any; CoCa puts a CLS token behind the text.
    mask, behind = getattr(text, "attn_mask", None), getattr(text, "cls_emb", None)
    causal = mask is not None and behind is None
    return pooling == "argmax" and causal


def text_part(clip: Any) -> Any:
    """The text tower of an open_clip model, which may be that model itself."""
    # Models with a class of their own for it (CustomTextCLIP) keep it in `text`.
    return getattr(clip, "text", clip)


def _encode_cut(text: Any, tokens: Tensor, block_tokens: Tensor | None) -> Tensor:
    """What open_clip's `encode_text` computes, of prompts shorter than the context.

    Args:
        text: the text part of an open_clip model, which reads at the end-of-text token.
        tokens: N x length, the length at most the context's.
        block_tokens: as for `encode_prompts`.

    Returns:
        N x C, unit norm.
    """
    x, mask = _embed(text, tokens)
    if block_tokens is None:
        x = text.transformer(x, attn_mask=mask)
    else:
        x = _run_with(text.transformer, x, mask, block_tokens)
    x = text_global_pool(text.ln_final(x), tokens, "argmax")
    if isinstance(text.text_projection, nn.Linear):
        x = text.text_projection(x)
    elif text.text_projection is not None:
        x = x @ text.text_projection
    return F.normalize(x, dim=-1)


def _embed(text: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens N x length -> what the first block takes, N x length x width, and the causal mask."""
    length = tokens.shape[1]
    dtype = text.transformer.get_cast_dtype()
    x = text.token_embedding(tokens).to(dtype)
    x = x + text.positional_embedding[:length].to(dtype)
    return x, text.attn_mask[:length, :length]


def _run_with(transformer: Any, x: Tensor, mask: Tensor, block_tokens: Tensor) -> Tensor:
    """Run the blocks, each on tokens of its own behind the first: N x length x width."""
    count = block_tokens.shape[1]
    for block, tokens in zip(transformer.resblocks, block_tokens, strict=True):
        own = tokens.to(x.dtype).expand(len(x), -1, -1)
        x = torch.cat((x[:, :1], own, x[:, 1 + count :]), dim=1)
        if transformer.grad_checkpointing:
            x = checkpoint(block, x, None, None, mask, use_reentrant=False)
        else:
            x = block(x, attn_mask=mask)
    return x
