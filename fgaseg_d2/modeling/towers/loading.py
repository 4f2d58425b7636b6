"""A name and its weights -> a model of open_clip or timm with separate q, k and v projections."""

import contextlib
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import open_clip
from torch import nn

from ...checkpoint.downloads import set_aside
from ...checkpoint.file_kinds import UnreadableFileError
from ...checkpoint.files import locate_checkpoint, stands_on_clip
from ...checkpoint.part_files import note_file
from ...checkpoint.unfilled import UnfilledModel
from ...checkpoint.weight_checks import check_values
from ...io.file_errors import ReadError, reading
from ...io.regular_files import is_file
from ...wording import plain
from .model_names import check_activation, check_tag, check_timm_tag, is_timms, resolve_name
from .split_attention import split_attention
from .timm_models import create_timm_model, fill_timm_model
from .weight_files import load_weights

# open_clip's argument for not fetching the language model of a text tower, old and new.
_WITHOUT_TEXT_WEIGHTS = {"pretrained_hf", "pretrained_text"} & set(
    inspect.signature(open_clip.create_model).parameters
)


class PretrainedWeightsError(OSError):
    """Pretrained weights could not be fetched or read."""


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
    return _once(_load_clip, name, pretrained)


def load_image_tower(name: str, pretrained: str) -> nn.Module:
    """Build an image tower on the CPU, in float32: what a tower of this package is made of.

    Args:
        name: what `load_clip` takes, whose image tower it is, or the name of a model of timm, which
            has no text tower ("vit_base_patch14_reg4_dinov2"; "timm/convnext_base" where open_clip
            has a model of that name).
        pretrained: as for `load_clip`; a tag is timm's for a model of timm.

    Raises:
        ValueError, FileNotFoundError, PretrainedWeightsError: as `load_clip`.
    """
    if is_timms(name):
        return _once(_load_timm, name, pretrained)
    visual = load_clip(name, pretrained).visual
    assert isinstance(visual, nn.Module)
    return visual


def _once(load: Callable[[str, str], nn.Module], name: str, pretrained: str) -> nn.Module:
    """Load a model, or take it from `shared_clip`."""
    memo = _shared.get()
    if memo is None:
        return load(name, pretrained)
    if (name, pretrained) not in memo:
        memo[name, pretrained] = load(name, pretrained)
    return memo[name, pretrained]


@contextlib.contextmanager
def shared_clip() -> Iterator[None]:
    """While open, each model is loaded once in this context, and is one for all who ask for it.

    That holds for `load_clip` and `load_image_tower`: two towers built from one configuration then
    are parts of one CLIP. Inside another such context it is that one.
    """
    if _shared.get() is not None:
        yield
        return
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


_shared: ContextVar[dict[tuple[str, str], nn.Module] | None] = ContextVar("shared", default=None)


def _load_clip(name: str, pretrained: str) -> nn.Module:
    name, pretrained = resolve_name(name), os.path.expanduser(pretrained)
    if not pretrained:
        clip = _create(name)
    elif "://" in pretrained or is_file(pretrained):
        clip = _from_file(name, pretrained)
    else:
        check_tag(name, pretrained)
        clip = _from_tag(name, pretrained)
    split_attention(clip)
    return clip


def _load_timm(name: str, pretrained: str) -> nn.Module:
    pretrained = os.path.expanduser(pretrained)
    if not pretrained:
        model = create_timm_model(name)
    elif "://" in pretrained or is_file(pretrained):
        path = locate_checkpoint(pretrained, "`pretrained`")
        model = UnfilledModel(lambda: create_timm_model(name)).model
        with _reading_weights(name, pretrained, path):
            fill_timm_model(model, path)
        note_file(model, path)
    else:
        check_timm_tag(name, pretrained)
        with _fetching(name, pretrained):
            model = create_timm_model(name, pretrained)
            check_values(model.state_dict(), pretrained, model.state_dict())
    split_attention(model)
    return model


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
            # Weights of the language model by itself would be replaced by those of the CLIP.
            return open_clip.create_model(name, **dict.fromkeys(_WITHOUT_TEXT_WEIGHTS, False))
    # Text towers of other libraries need these installed, and fetch their configuration.
    except (ImportError, RuntimeError, OSError) as error:
        raise ValueError(
            f"expected `name` to be a CLIP that open_clip can build here, but '{name}' fails: "
            f"{_reason(error)}. Install what it asks for, or choose a CLIP with open_clip's own "
            "text tower."
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
    with _fetching(name, tag):
        clip = open_clip.create_model(name, pretrained=tag)
        check_values(clip.state_dict(), tag, clip.state_dict())
    return clip


@contextlib.contextmanager
def _fetching(name: str, tag: str) -> Iterator[None]:
    try:
        yield
    # Libraries pass on whatever their downloaders raise.
    except Exception as error:
        raise PretrainedWeightsError(
            f"expected to fetch the weights '{tag}' of '{name}', but: {_reason(error)}. "
            "Connect to the network, or set `pretrained` to the path of a downloaded checkpoint, "
            'or to "" for random weights.'
        ) from error


def _from_file(name: str, pretrained: str) -> nn.Module:
    path = locate_checkpoint(pretrained, "`pretrained`")
    clip = UnfilledModel(lambda: _create(name)).model
    with _reading_weights(name, pretrained, path):
        quick_gelu = load_weights(clip, path)
    check_activation(name, pretrained, quick_gelu)
    note_file(clip, path)
    # It leaves the rest of its CLIP.
    note_file(clip.get_submodule("visual"), path)
    return clip


@contextlib.contextmanager
def _reading_weights(name: str, pretrained: str, path: str) -> Iterator[None]:
    try:
        with reading(path, "weights"):
            yield
    except ReadError:
        raise
    # Damaged bytes make the readers raise nearly anything.
    except Exception as error:
        if isinstance(error, UnreadableFileError) and path != pretrained:
            set_aside(path)
        raise PretrainedWeightsError(
            f"expected weights of '{plain(name, 40)}' in {plain(pretrained, 80)}, but: "
            f"{_reason(error)}. Set `name` and `pretrained` to fit."
        ) from error


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return plain(text.splitlines()[0].rstrip(".:"), 250) if text else type(error).__name__
