"""Learned tokens before each block of a text tower, which begin as those of a hand-made prompt.

They are a parameter of the text encoder. What they begin as depends on the tower's weights, so that
weights without learned tokens, loaded in whatever way, set them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..layers.copied_weights import copy_after_loading
from .prompts import reads_at_the_end_of_text, states_before_blocks

NAME = "block_tokens"
COUNT = 4  # tokens, as many as "a photo of a" has
# Two names that CLIP knows as one token each: up to there the tokens of a template are its own.
_NAMES = ("cat", "dog")


def hand_made_tokens(clip: nn.Module, templates: Sequence[str], tokenizer: Callable) -> Tensor:
    """The tokens of a template before the name, start of text included: 1 + COUNT or more.

    Raises:
        ValueError: the tower cannot have learned tokens, or the templates do not suit them.
    """
    problem = ""
    if not reads_at_the_end_of_text(clip):
        problem = "a text tower that is not open_clip's causal one"
    elif len(templates) != 1:
        problem = f"{len(templates)} prompt templates"
    else:
        with torch.device("cpu"):
            first, second = tokenizer([templates[0].replace("{}", name) for name in _NAMES])
        alike = int((first != second).int().argmax())
        if alike > COUNT:
            return first[:alike]
        problem = f"the template '{templates[0]}' with {alike - 1}"
    raise ValueError(
        "expected for learned text prompts open_clip's causal text tower and one template with "
        f"{COUNT} tokens or more before the name, got {problem}; set PROMPTS to vision."
    )


def add_block_tokens(encoder: Any) -> None:
    """Give a `CLIPTextEncoder` learned tokens, in place; they begin without effect.

    Raises:
        ValueError: as `hand_made_tokens`.
    """
    encoder.block_tokens = nn.Parameter(_initial(encoder))
    copy_after_loading(encoder, source="clip.", copies=(NAME,), copy=_begin_anew)


def _initial(encoder: Any) -> Tensor:
    tokens = hand_made_tokens(encoder.clip, encoder.templates, encoder.tokenizer)
    device = next(encoder.clip.parameters()).device
    return states_before_blocks(encoder.clip, tokens.to(device), COUNT)


def _begin_anew(encoder: Any) -> None:
    encoder.block_tokens.copy_(_initial(encoder))
