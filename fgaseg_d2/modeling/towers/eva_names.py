"""EVA-CLIP's own names of its weights -> those of the same tower as timm builds it.

EVA-CLIP's authors, and works that train its towers on (CLIPSelf, DeCLIP), publish weights under the
names of their own code: https://github.com/baaivision/EVA/tree/master/EVA-CLIP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_BLOCK = re.compile(r"(blocks\.\d+\.)(.+)")
_PARTS = {
    "attn.inner_attn_ln": "attn.norm",
    "mlp.ffn_ln": "mlp.norm",
    "mlp.w1": "mlp.fc1_g",
    "mlp.w2": "mlp.fc1_x",
    "mlp.w3": "mlp.fc2",
}
# Where q, k and v are apart, their biases are members of the layers.
_SPLIT_BIASES = {"attn.q_bias": "attn.q_proj.bias", "attn.v_bias": "attn.v_proj.bias"}


def is_eva_clip(state: Mapping[str, Tensor], prefix: str = "visual.") -> bool:
    """Whether weights, of which those of the image tower begin with `prefix`, are EVA-CLIP's."""
    return f"{prefix}blocks.0.attn.q_bias" in state


def from_eva_clip(state: Mapping[str, Tensor], prefix: str = "visual.") -> dict[str, Tensor]:
    """Rename the image tower's weights to open_clip's names of timm's model.

    Args:
        state: all weights of a CLIP.
        prefix: of those of the image tower.

    Returns:
        The same without tables of rotary embeddings, which a tower computes itself.
    """
    split = f"{prefix}blocks.0.attn.q_proj.weight" in state
    renamed = {}
    for name, tensor in state.items():
        own = name.removeprefix(prefix)
        if not name.startswith(prefix):
            renamed[name] = tensor
        elif ".freqs_" not in name:
            renamed[f"{prefix}trunk.{_timm_name(own, split)}"] = tensor
    return renamed


def to_split_names(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Rename EVA02's weights from timm's names to those of a tower with split attention.

    Args:
        state: all weights of a model.
        prefix: of those of timm's model.
    """
    renamed = {}
    for name, tensor in state.items():
        own = name.removeprefix(prefix)
        if name.startswith(prefix):
            own = own.replace(".attn.norm.", ".attn.inner_norm.")
            own = prefix + own.replace(".attn.proj.", ".attn.out_proj.")
        renamed[own] = tensor
    return renamed


def _timm_name(name: str, split: bool) -> str:
    found = _BLOCK.fullmatch(name)
    if found is None:
        return name
    block, part = found.groups()
    for theirs, timms in (_PARTS | (_SPLIT_BIASES if split else {})).items():
        if part == theirs or part.startswith(f"{theirs}."):
            return block + timms + part[len(theirs) :]
    return name
