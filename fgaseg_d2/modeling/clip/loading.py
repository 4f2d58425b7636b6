"""A CLIP name and its weights -> an open_clip model with separate q, k and v projections."""

import difflib
from collections.abc import Callable
from pathlib import Path

import open_clip
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from ...json_files import read_json
from ...torchscript import is_torchscript, read_torchscript
from ..layers.attention import SplitQKVAttention
from ..layers.linear import Linear

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
        pretrained: a tag of open_clip ("openai"), the path of a CLIP checkpoint, or "" for random
            weights.

    Raises:
        ValueError: unknown name or tag, or a name and a tag that do not fit together.
        FileNotFoundError: a configuration or checkpoint file that is not there.
        PretrainedWeightsError: the weights could not be fetched or read.
    """
    name = _resolve_name(name)
    if not pretrained:
        clip = _create(name)
    elif Path(pretrained).is_file():
        clip = _from_file(name, pretrained)
    else:
        _check_tag(name, pretrained)
        clip = _from_tag(name, pretrained)
    split_attention(clip)
    return clip


def load_image_tower(name: str, pretrained: str) -> nn.Module:
    """The image tower of `load_clip`, whose arguments and errors it has: `CLIPViT`'s `visual`."""
    return load_clip(name, pretrained).visual


def needed_pretrained(pretrained: str, weights: str, weights_partial: bool) -> str:
    """What to load into CLIP: nothing where a checkpoint brings the whole model anyway.

    Args:
        pretrained: MODEL.CLIP.PRETRAINED.
        weights: MODEL.WEIGHTS.
        weights_partial: MODEL.WEIGHTS_PARTIAL.
    """
    return "" if weights and not weights_partial else pretrained


def _create(name: str) -> nn.Module:
    try:
        return open_clip.create_model(name)
    # Text towers of other libraries need these installed, and fetch their configuration.
    except (ImportError, RuntimeError, OSError) as error:
        raise ValueError(
            f"expected MODEL.CLIP.NAME to be a CLIP that open_clip builds by itself, but '{name}' "
            f"fails: {_reason(error)}. Choose a ViT-* model with open_clip's own text tower."
        ) from error


def _from_tag(name: str, tag: str) -> nn.Module:
    try:
        return open_clip.create_model(name, pretrained=tag)
    # open_clip passes on whatever its downloader raises.
    except Exception as error:
        raise PretrainedWeightsError(
            f"expected to fetch the CLIP weights '{tag}' of '{name}', but: {_reason(error)}. "
            "Connect to the network, or set MODEL.CLIP.PRETRAINED to the path of a downloaded CLIP "
            'checkpoint, or to "" for random weights.'
        ) from error


def _from_file(name: str, path: str) -> nn.Module:
    try:
        if not is_torchscript(path):
            return open_clip.create_model(name, pretrained=path)
        # OpenAI published its models in this format; open_clip reads it by tag only.
        state = read_torchscript(path)
        clip = open_clip.create_model(name)
        names = clip.state_dict()
        clip.load_state_dict({n: t.float() for n, t in state.items() if n in names})
        return clip
    # Damaged bytes make the readers raise nearly anything.
    except Exception as error:
        raise PretrainedWeightsError(
            f"expected CLIP weights of '{name}' in {path}, but: {_reason(error)}. The file is "
            "damaged, or of another model: set MODEL.CLIP.NAME and MODEL.CLIP.PRETRAINED to fit."
        ) from error


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".:") if text else type(error).__name__


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
        path = Path(name).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"expected MODEL.CLIP.NAME to name an open_clip model configuration, got {name}, "
                "which is not a file; check the path."
            )
        _check_model_config(path)
        open_clip.add_model_config(path)
        name = path.stem
    known = open_clip.list_models()
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3)) or "see open_clip.list_models"
        raise ValueError(
            f"expected MODEL.CLIP.NAME to be a model that open_clip knows or a .json file, "
            f"got '{name}'; did you mean: {near}?"
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
            f"expected MODEL.CLIP.PRETRAINED to be a checkpoint file or a tag of open_clip, got "
            f"{pretrained}, which is not a file; check the path."
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained not in tags:
        raise ValueError(
            f"expected a pretrained tag that open_clip has for '{name}', got '{pretrained}'; "
            f"choose one of: {', '.join(tags) or 'none, use a file'}."
        )
    needs_quick_gelu = open_clip.get_pretrained_cfg(name, pretrained).get("quick_gelu", False)
    if needs_quick_gelu != open_clip.get_model_config(name).get("quick_gelu", False):
        other = f"{name}-quickgelu" if needs_quick_gelu else name.removesuffix("-quickgelu")
        raise ValueError(
            f"the weights '{pretrained}' were trained with another activation than '{name}' has; "
            f"set MODEL.CLIP.NAME to '{other}'."
        )
