"""A CLIP name and its weights -> an open_clip model with separate q, k and v projections."""

import contextlib
import difflib
import logging
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

import open_clip
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from ...checkpoint.downloads import set_aside
from ...checkpoint.file_kinds import UnreadableFileError
from ...checkpoint.files import locate_checkpoint, stands_on_clip
from ...checkpoint.part_files import note_file
from ...checkpoint.weight_checks import check_values
from ...io.file_errors import ReadError, reading
from ...io.json_files import read_json
from ...io.regular_files import home_path, is_file
from ...wording import plain, shown
from ..layers.attention import SplitQKVAttention
from ..layers.linear import Linear
from .weight_files import load_weights

# What open_clip knows a model configuration by.
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")

open_clip.add_model_config(Path(__file__).parent / "model_configs")


class PretrainedWeightsError(OSError):
    """CLIP's pretrained weights could not be fetched or read."""


def load_clip(name: str, pretrained: str) -> nn.Module:
    """Build a CLIP model of open_clip on the CPU, in float32.

    Args:
        name: an open_clip model name ("ViT-B-16-quickgelu") or the path of a model configuration
            of one's own (.json, in open_clip's format).
        pretrained: a tag of open_clip ("openai"), the path or http(s) address of a CLIP checkpoint,
            or "" for random weights, of which whoever trains or uses the model has to warn.

    Raises:
        ValueError: unknown name or tag, or a name and a tag that do not fit together.
        FileNotFoundError: a configuration or checkpoint file that is not there.
        PretrainedWeightsError: the weights could not be fetched or read.
    """
    memo = _shared.get()
    if memo is None:
        return _load(name, pretrained)
    if (name, pretrained) not in memo:
        memo[name, pretrained] = _load(name, pretrained)
    return memo[name, pretrained]


@contextlib.contextmanager
def shared_clip() -> Iterator[None]:
    """While open, `load_clip` in this context returns one model to all who ask for the same.

    Two towers built from one configuration then are parts of one CLIP, and it is built once.
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


_shared: ContextVar[dict[tuple[str, str], nn.Module] | None] = ContextVar("shared", default=None)


def _load(name: str, pretrained: str) -> nn.Module:
    name, pretrained = _resolve_name(name), os.path.expanduser(pretrained)
    if not pretrained:
        clip = _create(name)
    elif "://" in pretrained or is_file(pretrained):
        clip = _from_file(name, pretrained)
    else:
        _check_tag(name, pretrained)
        clip = _from_tag(name, pretrained)
    split_attention(clip)
    return clip


def load_image_tower(name: str, pretrained: str) -> nn.Module:
    """The image tower of `load_clip`, whose arguments and errors it has: `CLIPViT`'s `visual`."""
    visual = load_clip(name, pretrained).visual
    assert isinstance(visual, nn.Module)
    return visual


def needed_pretrained(pretrained: str, weights: str, weights_partial: bool) -> str:
    """What to load into CLIP: nothing where a checkpoint brings the whole model anyway.

    A part file does not.

    Args:
        pretrained: MODEL.CLIP.PRETRAINED.
        weights: MODEL.WEIGHTS.
        weights_partial: MODEL.WEIGHTS_PARTIAL.
    """
    whole = bool(weights) and not weights_partial and not stands_on_clip(weights)
    return "" if whole else pretrained


def _create(name: str) -> nn.Module:
    try:
        with _without_its_warning():
            return open_clip.create_model(name)
    # Text towers of other libraries need these installed, and fetch their configuration.
    except (ImportError, RuntimeError, OSError) as error:
        raise ValueError(
            f"expected `name` to be a CLIP that open_clip builds by itself, but '{name}' "
            f"fails: {_reason(error)}. Choose a ViT-* model with open_clip's own text tower."
        ) from error


@contextlib.contextmanager
def _without_its_warning() -> Iterator[None]:
    """open_clip warns of random weights, which are often filled right after; see `load_clip`."""

    def other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("No pretrained weights loaded for model")

    root = logging.getLogger()
    root.addFilter(other)
    try:
        yield
    finally:
        root.removeFilter(other)


def _from_tag(name: str, tag: str) -> nn.Module:
    try:
        clip = open_clip.create_model(name, pretrained=tag)
        check_values(clip.state_dict(), tag, clip.state_dict())
        return clip
    # open_clip passes on whatever its downloader raises.
    except Exception as error:
        raise PretrainedWeightsError(
            f"expected to fetch the CLIP weights '{tag}' of '{name}', but: {_reason(error)}. "
            "Connect to the network, or set `pretrained` to the path of a downloaded CLIP "
            'checkpoint, or to "" for random weights.'
        ) from error


def _from_file(name: str, pretrained: str) -> nn.Module:
    path = locate_checkpoint(pretrained, "`pretrained`")
    clip = _create(name)
    try:
        with reading(path, "CLIP weights"):
            quick_gelu = load_weights(clip, path)
    except ReadError:
        raise
    # Damaged bytes make the readers raise nearly anything.
    except Exception as error:
        if isinstance(error, UnreadableFileError) and path != pretrained:
            set_aside(path)
        raise PretrainedWeightsError(
            f"expected CLIP weights of '{plain(name, 40)}' in {plain(pretrained, 80)}, but: "
            f"{_reason(error)}. Set `name` and `pretrained` to fit."
        ) from error
    _check_activation(name, pretrained, quick_gelu)
    note_file(clip, path)
    # It leaves the rest of its CLIP.
    note_file(clip.get_submodule("visual"), path)
    return clip


def _check_activation(name: str, pretrained: str, quick_gelu: bool | None) -> None:
    """Refuse weights in a model with another activation than they were trained with."""
    if quick_gelu in (None, open_clip.get_model_config(name).get("quick_gelu", False)):
        return
    other = f"{name}-quickgelu" if quick_gelu else name.removesuffix("-quickgelu")
    value = "true" if quick_gelu else "false"
    known = other != name and other in open_clip.list_models()
    remedy = f"`name` to '{other}'" if known else f'"quick_gelu" to {value} in its .json'
    raise ValueError(
        f"the weights '{plain(pretrained)}' were trained with another activation than "
        f"'{plain(name, 40)}' has; set {remedy}."
    )


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return plain(text.splitlines()[0].rstrip(".:"), 250) if text else type(error).__name__


def build_tokenizer(name: str) -> Callable[[list[str]], Tensor]:
    """The tokenizer that goes with a model name or configuration file (see `load_clip`)."""
    return open_clip.get_tokenizer(_resolve_name(name))


def split_attention(clip: nn.Module) -> None:
    """Give every transformer block of `clip` separate q, k and v parameters, in place."""
    for module in clip.modules():
        if isinstance(module, ResidualAttentionBlock):
            if isinstance(module.attn, nn.MultiheadAttention):
                module.attn = SplitQKVAttention.from_packed(module.attn)
            for name, layer in module.mlp.named_children():
                if type(layer) is nn.Linear:
                    setattr(module.mlp, name, Linear.like(layer))


def _resolve_name(name: str) -> str:
    """Register a configuration file under its stem; check a name against those known."""
    if name.endswith(".json"):
        path = home_path(name)
        if not is_file(path):
            raise FileNotFoundError(
                f"expected `name` to name an open_clip model configuration, got "
                f"{plain(name)}, which is not a file; check the path."
            )
        _check_model_config(path)
        open_clip.add_model_config(path)
        name = path.stem
    known = open_clip.list_models()
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3)) or "see open_clip.list_models"
        raise ValueError(
            f"expected `name` to be a model that open_clip knows or a .json file, "
            f"got {shown(name)}; did you mean: {near}?"
        )
    return name


def _check_model_config(path: Path) -> None:
    """Raise a ValueError for what open_clip would pass over or break off at."""
    try:
        content = read_json(path)
    except ValueError as error:
        raise ValueError(
            f"{path}: expected an open_clip model configuration, got an error ({error}); correct it"
        ) from error
    missing = [key for key in _CONFIG_KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(
            f"{path}: expected an open_clip model configuration with {', '.join(_CONFIG_KEYS)}, "
            f"got none with {missing[0]}; add it"
        )


def _check_tag(name: str, pretrained: str) -> None:
    if "/" in pretrained or Path(pretrained).suffix:
        raise FileNotFoundError(
            f"expected `pretrained` to be a checkpoint file or a tag of open_clip, got "
            f"{plain(pretrained)}, which is not a file; check the path."
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained not in tags:
        raise ValueError(
            f"expected a pretrained tag that open_clip has for '{name}', got '{pretrained}'; "
            f"choose one of: {', '.join(tags) or 'none, use a file'}."
        )
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    _check_activation(name, pretrained, tag.get("quick_gelu", False))
