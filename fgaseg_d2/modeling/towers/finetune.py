"""Which CLIP parameters train."""

from collections.abc import Iterable

from torch import nn

from ..text.encoder import CLIPTextEncoder
from .clip_vit import CLIPViT

MODES = ("frozen", "prompt", "attention", "full", "scratch")


def set_trainable(backbone: CLIPViT, text_encoder: CLIPTextEncoder, mode: str) -> None:
    """Freeze and unfreeze the parameters of both towers, in place.

    Args:
        mode: "frozen": none. "prompt": the deep prompt tokens. "attention": the weights of the q
            and v projections of every transformer block. "full": everything in the transformer
            blocks. "scratch": everything, embeddings and projections included.

    Raises:
        ValueError: an unknown mode, or "prompt" for a backbone without prompt tokens.
    """
    if mode not in MODES:
        raise ValueError(
            f"expected MODEL.CLIP.FINETUNE to be one of {', '.join(MODES)}, got '{mode}'."
        )
    if mode == "prompt" and backbone.prompt_tokens is None:
        raise ValueError(
            "expected prompt tokens to train, got none; set MODEL.CLIP.PROMPT_LENGTH and "
            "MODEL.CLIP.PROMPT_DEPTH above 0."
        )
    for parameter in (*backbone.parameters(), *text_encoder.parameters()):
        parameter.requires_grad_(mode == "scratch")
    if backbone.prompt_tokens is not None:
        backbone.prompt_tokens.requires_grad_(mode != "frozen")
    if mode in ("attention", "full"):
        blocks = (*backbone.visual.transformer.resblocks, *text_encoder.blocks)
        for parameter in _of_blocks(blocks, mode):
            parameter.requires_grad_(True)
    # Read densely, the last image block leaves out some of its parts, which get no gradient; DDP
    # waits for every parameter that could.
    for part in backbone.dense_reading.unused:
        backbone.visual.transformer.resblocks[-1].get_submodule(part).requires_grad_(False)


def _of_blocks(blocks: Iterable[nn.Module], mode: str) -> Iterable[nn.Parameter]:
    for block in blocks:
        if mode == "full":
            yield from block.parameters()
        else:
            yield block.attn.q_proj.weight
            yield block.attn.v_proj.weight
