"""Image towers of timm alone, without a text tower: a name and weights -> a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import timm
from torch import Tensor, nn

from ...checkpoint.file_kinds import read_file
from ...checkpoint.state_dicts import find_weights
from ...checkpoint.weight_checks import check_values
from ...wording import plain
from .weight_files import check_names

_PREFIX = "timm/"


def is_timm_name(name: str) -> bool:
    """Whether a name is of a model of timm, such as "vit_base_patch14_reg4_dinov2.lvd142m"."""
    return timm.is_model(_architecture(name))


def create_timm_model(name: str, tag: str = "") -> nn.Module:
    """Build a model of timm that ends with its features.

    Args:
        name: a name of timm, with or without "timm/" in front and a tag behind a dot.
        tag: of pretrained weights, which are fetched; "" for random ones.
    """
    architecture = _architecture(name)
    full = f"{architecture}.{tag}" if tag else architecture
    return timm.create_model(full, pretrained=bool(tag), num_classes=0)


def timm_tags(name: str) -> list[str]:
    """The tags of pretrained weights that timm has for a name."""
    found = timm.list_pretrained(f"{_architecture(name)}.*")
    return [full.partition(".")[2] for full in found]


def timm_preprocessing(name: str, tag: str) -> dict[str, Any]:
    """Mean and deviation of pixels, 0..1, that weights were trained with; "mean" and "std".

    Args:
        name: as for `create_timm_model`.
        tag: of the weights; any other text for timm's first ones.
    """
    architecture = _architecture(name)
    known = tag if tag in timm_tags(name) else name.partition(".")[2]
    full = f"{architecture}.{known}" if known in timm_tags(name) else architecture
    config = timm.get_pretrained_cfg(full)
    return {"mean": config.mean, "std": config.std} if config is not None else {}


def fill_timm_model(model: nn.Module, path: str) -> None:
    """Fill a model with a file's weights, under timm's names or those that timm translates.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another model.
    """
    loaded = read_file(path, "it")
    wanted = model.state_dict()
    state = find_weights(loaded, wanted.__contains__, "it") if isinstance(loaded, dict) else {}
    if not state:
        raise ValueError(f"it holds no tensors of a {type(model).__name__}")
    if not wanted.keys() <= state.keys():
        state = _translated(state, model)
    state = {name: state[name] for name in state if name in wanted}
    check_names(state, wanted)
    check_values(state, "it", wanted)
    model.load_state_dict(state)


def _translated(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    # timm keeps what it knows of others' names beside each architecture.
    translate: Any = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        return dict(state) if translate is None else translate(dict(state), model)
    # It expects one of the files that it knows.
    except Exception as error:
        raise ValueError(f"timm does not know its names ({plain(str(error), 80)})") from error


def _architecture(name: str) -> str:
    return name.removeprefix(_PREFIX).partition(".")[0]
