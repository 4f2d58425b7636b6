"""CLIP's weights in a file: of torch.save, safetensors, or OpenAI's TorchScript archives."""

import os
import re
from collections.abc import Mapping

from open_clip.convert import convert_state_dict
from open_clip.model import (
    convert_to_custom_text_state_dict,
    resize_pos_embed,
    resize_text_pos_embed,
)
from torch import Tensor, nn

from ...checkpoint.file_kinds import TORCHSCRIPT, file_format, read_file
from ...checkpoint.state_dicts import find_weights
from ...checkpoint.torchscript import read_torchscript, uses_quick_gelu
from ...checkpoint.weight_checks import check_size, check_values
from ...wording import plain
from .eva_names import from_eva_clip, is_eva_clip

# Settings that OpenAI's archives hold as tensors; whoever saved their state dict has them too.
OPENAI_SETTINGS = {"input_resolution", "context_length", "vocab_size"}
# The towers do without it.
_TEMPERATURE = {"logit_scale", "logit_bias"}
# What tools and older versions of libraries add to the names of a module.
_HELPERS = re.compile(
    r".*(?:total_ops|total_params|attn_mask|position_ids|num_batches_tracked|_extra_state)"
)


def load_weights(clip: nn.Module, path: str) -> bool | None:
    """Fill a CLIP of open_clip with a file's weights.

    Args:
        clip: in float32, with packed attention.
        path: a file that is there.

    Returns:
        Whether the weights were trained with QuickGELU; None where the file does not say.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, of another model, or holds what are no weights.
    """
    archive = file_format(path, "it") == TORCHSCRIPT
    loaded = read_torchscript(path) if archive else read_file(path, "it")
    wanted = clip.state_dict()
    state = _renamed(clip, _find(loaded, wanted), wanted)
    check_size(state, os.path.getsize(path), "it")
    # OpenAI trained all its CLIPs with QuickGELU; a program says itself what it computes.
    quick_gelu = None if OPENAI_SETTINGS.isdisjoint(state) else True
    if archive and (found := uses_quick_gelu(path)) is not None:
        quick_gelu = found
    check_names(state, wanted)
    state = {name: tensor for name, tensor in state.items() if name in wanted}
    check_values(state, "it", wanted)
    clip.load_state_dict(state, strict=False)
    return quick_gelu


def _find(loaded: object, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Towers with a class of their own (CustomTextCLIP) keep the text part in `text`.
    known = wanted.keys() | {name.removeprefix("text.") for name in wanted}
    state = find_weights(loaded, known.__contains__, "it") if isinstance(loaded, dict) else {}
    if known.isdisjoint(state):
        names = ", ".join(plain(name, 40) for name in list(state)[:2])
        raise ValueError(f"it holds no tensors of a CLIP ({names or 'none with a name'}, ...)")
    return state


def _renamed(
    clip: nn.Module, state: dict[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Other names and shapes of the same weights -> the model's, as open_clip does."""
    if is_eva_clip(state):
        state = from_eva_clip(state)
    state = convert_state_dict(clip, state)
    if "positional_embedding" in state and "positional_embedding" not in wanted:
        state = convert_to_custom_text_state_dict(state)
    for name, tensor in state.items():
        if name in _TEMPERATURE and name in wanted and tensor.numel() == wanted[name].numel():
            state[name] = tensor.reshape(wanted[name].shape)
        elif name.endswith("positional_embedding") and tensor.dtype.is_floating_point:
            state[name] = tensor.float()
    try:
        resize_pos_embed(state, clip)
        resize_text_pos_embed(state, clip)
    except (RuntimeError, IndexError) as error:
        raise ValueError("its position embeddings are no tables of a CLIP") from error
    return state


def check_names(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse another model's weights, of which a part may fit.

    Raises:
        ValueError: tensors are missing, of other shapes, or too many.
    """
    missing = [name for name in wanted if name not in state and name not in _TEMPERATURE]
    if missing:
        raise ValueError(
            f"it lacks {len(missing)} of {len(wanted)} tensors ({plain(missing[0], 60)}, ...)"
        )
    for name, tensor in wanted.items():
        if name in state and state[name].shape != tensor.shape:
            raise ValueError(
                f"{name} has the shape {'x'.join(map(str, state[name].shape))} instead of "
                f"{'x'.join(map(str, tensor.shape))}"
            )
    roots = {name.partition(".")[0] for name in wanted if "." in name}
    extra = [name for name in state if name not in wanted and not _HELPERS.fullmatch(name)]
    extra = [name for name in extra if name.partition(".")[0] in roots]
    if extra:
        raise ValueError(
            f"it has {len(extra)} tensors that the model lacks ({plain(extra[0], 60)}, ...)"
        )
