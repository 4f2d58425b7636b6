"""Names and layouts of the parameters in FGA-seg's and CAT-Seg's public checkpoints.

The only place that knows them: a checkpoint is translated on its way in or out, and everything else
works with the names of this package.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ...modeling.towers.eva_names import from_eva_clip, is_eva_clip, to_split_names

HEAD = "sem_seg_head.predictor."
_STARTS = (HEAD, "upsample1.", "upsample2.")

# Reference name -> our name, as whole-name patterns; N stands for a block or layer number.
_RULES = [
    (HEAD + "DCDT.gamma_text", "sem_seg_head.p2tformer.gamma"),
    (HEAD + "DCDT.cross_atten_text.N.multihead_attn.*",
     "sem_seg_head.p2tformer.layers.N.attention.*"),
    (HEAD + "DCDT.cross_atten_text.N.norm.*", "sem_seg_head.p2tformer.layers.N.norm.*"),
    (HEAD + "DCDT.cross_atten_text.N.MLP.*", "sem_seg_head.p2tformer.layers.N.linear.*"),
    (HEAD + "proj.vis.1.0.*", "sem_seg_head.t2p.pixels.1.*"),
    (HEAD + "proj.vis.1.1.*", "sem_seg_head.t2p.pixels.2.*"),
    (HEAD + "proj.vis.3.0.*", "sem_seg_head.t2p.pixels.5.*"),
    (HEAD + "proj.vis.3.1.*", "sem_seg_head.t2p.pixels.6.*"),
    (HEAD + "proj.vis.4.*", "sem_seg_head.t2p.pixels.8.*"),
    (HEAD + "proj.txt.*", "sem_seg_head.t2p.kernels.linear.*"),
    (HEAD + "clip_model.visual.transformer.prompt_tokens", "backbone.prompt_tokens"),
    (HEAD + "clip_model.visual.*", "backbone.visual.*"),
    (HEAD + "clip_model.*", "text_encoder.clip.*"),
    (HEAD + "transformer.Local_align.txt.*", "sem_seg_head.local_similarity.kernels.linear.*"),
    (HEAD + "transformer.conv1.*", "sem_seg_head.embed_global.conv.*"),
    (HEAD + "transformer.conv2.*", "sem_seg_head.embed_local.conv.*"),
    (HEAD + "transformer.conv_cat.*", "sem_seg_head.fusion.project.*"),
    (HEAD + "transformer.conv_cat_decoder_N.*", "sem_seg_head.decoder.fuseN.project.*"),
    (HEAD + "transformer.corr_local_decoder_projection.0.*", "sem_seg_head.decoder.local_up.0.*"),
    (HEAD + "transformer.corr_local_decoder_projection.1.double_conv.*",
     "sem_seg_head.decoder.local_up.1.*"),
    (HEAD + "transformer.guidance_projection.*", "sem_seg_head.aggregation.image_guidance.*"),
    (HEAD + "transformer.text_guidance_projection.*", "sem_seg_head.aggregation.text_guidance.*"),
    (HEAD + "transformer.layers.N.swin_block.guidance_norm.*",
     "sem_seg_head.aggregation.spatial.N.guidance_norm.*"),
    (HEAD + "transformer.layers.N.swin_block.block_N.attn.*",
     "sem_seg_head.aggregation.spatial.N.blockN.*"),
    (HEAD + "transformer.layers.N.swin_block.block_N.mlp.fc1.*",
     "sem_seg_head.aggregation.spatial.N.blockN.mlp.0.*"),
    (HEAD + "transformer.layers.N.swin_block.block_N.mlp.fc2.*",
     "sem_seg_head.aggregation.spatial.N.blockN.mlp.2.*"),
    (HEAD + "transformer.layers.N.swin_block.block_N.normN.*",
     "sem_seg_head.aggregation.spatial.N.blockN.normN.*"),
    (HEAD + "transformer.layers.N.attention.padding_tokens",
     "sem_seg_head.aggregation.classes.N.pad_token"),
    (HEAD + "transformer.layers.N.attention.padding_guidance",
     "sem_seg_head.aggregation.classes.N.pad_guidance"),
    (HEAD + "transformer.layers.N.attention.attention.*",
     "sem_seg_head.aggregation.classes.N.*"),
    (HEAD + "transformer.layers.N.attention.MLP.*", "sem_seg_head.aggregation.classes.N.mlp.*"),
    (HEAD + "transformer.layers.N.attention.normN.*",
     "sem_seg_head.aggregation.classes.N.normN.*"),
    (HEAD + "transformer.decoder_guidance_projection.N.*", "sem_seg_head.decoder.guidance.N.*"),
    (HEAD + "transformer.decoderN.up.*", "sem_seg_head.decoder.upN.up.*"),
    (HEAD + "transformer.decoderN.conv.double_conv.*", "sem_seg_head.decoder.upN.conv.*"),
    (HEAD + "transformer.head.*", "sem_seg_head.decoder.logits.*"),
    (HEAD + "transformer.head_auxi_N.*", "sem_seg_head.early_rejection.heads.N.*"),
    ("upsample1.*", "sem_seg_head.guidance_up.0.*"),
    ("upsample2.*", "sem_seg_head.guidance_up.1.*"),
]  # fmt: skip


def _compile(pattern: str) -> re.Pattern:
    return re.compile(re.escape(pattern).replace("N", r"(\d+)").replace(r"\*", "(.+)"))


def _template(pattern: str) -> str:
    return pattern.replace("N", "{}").replace("*", "{}")


_PATTERNS = [(_compile(theirs), _template(ours)) for theirs, ours in _RULES]
# Some of our patterns contain others; the longest says most.
_REVERSE_PATTERNS = [
    (_compile(ours), _template(theirs))
    for theirs, ours in sorted(_RULES, key=lambda rule: -len(rule[1]))
]

# Not weights (masks made at run time), or weights that a segmenter never uses.
_UNUSED = re.compile(r".*\.attn_mask|pixel_(mean|std)|clip_pixel_(mean|std)|.*\.logit_scale")

_PROJECTION = re.compile(r"(.*\.attn\.)([qkv])_proj_weight")
_OUR_PROJECTION = re.compile(r"(.*\.resblocks\.\d+\.attn\.)([qkv])_proj\.(weight|bias)")
_PACKED = re.compile(r"(.*\.resblocks\.\d+\.attn\.)in_proj_(weight|bias)")
_IMAGE_TOWER = HEAD + "clip_model.visual."
_TIMM_TOWER = "backbone.visual.trunk."


def is_reference_name(name: str) -> bool:
    """Whether a tensor's name is one of FGA-seg or CAT-Seg."""
    return name.startswith(_STARTS)


def is_reference(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the names of FGA-seg or CAT-Seg."""
    return any(name.startswith(HEAD) for name in state)


def stands_on_eva_clip(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is CAT-Seg's on EVA02-CLIP, as DeCLIP's authors publish it."""
    return is_eva_clip(state, _IMAGE_TOWER)


def from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate the state dict of a public checkpoint.

    Args:
        state: tensors under FGA-seg's or CAT-Seg's names.

    Returns:
        The same tensors under ours; a name that no rule knows stays as it is.
    """
    if stands_on_eva_clip(state):
        state = to_split_names(from_eva_clip(state, _IMAGE_TOWER), f"{_IMAGE_TOWER}trunk.")
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if _UNUSED.fullmatch(name):
            continue
        ours = _rename(name)
        if match := _PACKED.fullmatch(ours):
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                converted[f"{match[1]}{letter}_proj.{match[2]}"] = part
        elif match := _PROJECTION.fullmatch(ours):
            converted[f"{match[1]}{match[2]}_proj.weight"] = tensor
        elif ours.endswith((".pad_token", ".pad_guidance")):
            converted[ours] = tensor.flatten()
        else:
            converted[ours] = tensor
    return converted


def to_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate back: the inverse of :func:`from_reference`.

    Args:
        state: tensors under our names.

    Returns:
        The same tensors under FGA-seg's names, which are CAT-Seg's too for the parts it has. Masks
        and the temperature of CLIP, which nothing here holds, are left out.

    Raises:
        ValueError: a tensor that the reference has no place for.
    """
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if match := _OUR_PROJECTION.fullmatch(name):
            stem, letter, what = match.groups()
            packed = _rename_back(f"{stem}in_proj_bias")
            if what == "weight":
                converted[packed.replace("in_proj_bias", f"{letter}_proj_weight")] = tensor
            elif letter == "q":
                converted[packed] = torch.cat([state[f"{stem}{x}_proj.bias"] for x in "qkv"])
        elif name.endswith((".pad_token", ".pad_guidance")):
            converted[_rename_back(name)] = tensor.reshape(1, 1, -1)
        else:
            converted[_rename_back(name)] = tensor
    return converted


def _rename(name: str) -> str:
    for pattern, template in _PATTERNS:
        if match := pattern.fullmatch(name):
            return template.format(*match.groups())
    return name


def _rename_back(name: str) -> str:
    for pattern, template in () if name.startswith(_TIMM_TOWER) else _REVERSE_PATTERNS:
        if match := pattern.fullmatch(name):
            return template.format(*match.groups())
    raise ValueError(
        f"expected tensors that FGA-seg has a name for, got {name}; only an FGAseg with a CLIP "
        "like OpenAI's can be written in its format."
    )
