"""A CLIP's tensors under the names of this package and under open_clip's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

# Ours -> open_clip's; the rest of a model is no part of its CLIP.
_PARTS = {"backbone.visual.": "visual.", "text_encoder.clip.": ""}
_OF_TIMM = "backbone.visual.trunk."
_TEMPERATURE = {"log_scale": "logit_scale"}
_PROJECTION = re.compile(r"(.*\.resblocks\.\d+\.attn\.)([qkv])_proj\.(weight|bias)")


def unpacked(clip: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a CLIP, with q, k and v apart, as the models of this package have them."""
    for name, tensor in clip.items():
        base, packed, kind = name.rpartition("in_proj_")
        if not packed:
            yield name, tensor
            continue
        for letter, part in zip("qkv", tensor.chunk(3), strict=False):
            yield f"{base}{letter}_proj.{kind}", part


def clip_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The CLIP in a model's tensors, for MODEL.CLIP.PRETRAINED and for open_clip.

    Args:
        state: tensors of any method under the names of this package.

    Returns:
        Those of the two towers, and of the temperature if it was learned, under open_clip's names,
        with q, k and v packed.

    Raises:
        ValueError: the state lacks one of the towers, or has one that timm builds, whose q, k and v
            open_clip has in several ways.
    """
    if any(name.startswith(_OF_TIMM) and ".attn." in name for name in state):
        raise ValueError(
            "expected a CLIP with open_clip's own vision transformer, got one whose image tower "
            "timm builds, which has no names of open_clip here; keep the checkpoint as it is"
        )
    clip: dict[str, Tensor] = {}
    for prefix, theirs in _PARTS.items():
        part = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
        try:
            packed = _packed(part)
        except KeyError as error:
            raise ValueError(
                f"expected both towers of a CLIP, got none of {prefix}{error.args[0]}; take a "
                "whole checkpoint, no part file"
            ) from error
        clip |= {f"{theirs}{name}": tensor for name, tensor in packed.items()}
    return clip | {theirs: state[ours] for ours, theirs in _TEMPERATURE.items() if ours in state}


def _packed(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not part:
        raise KeyError("*")
    packed = {}
    for name, tensor in part.items():
        if not (match := _PROJECTION.fullmatch(name)):
            packed[name] = tensor
            continue
        stem, letter, kind = match.groups()
        if letter == "q":
            three = [part[f"{stem}{x}_proj.{kind}"] for x in "qkv"]
            packed[f"{stem}in_proj_{kind}"] = torch.cat(three)
    return packed
