"""A CLIP name and its weights -> an open_clip model with separate q, k and v projections."""

import difflib
import logging
from collections.abc import Callable
from pathlib import Path

import open_clip
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from ..layers.attention import SplitQKVAttention

logger = logging.getLogger(__name__)

open_clip.add_model_config(Path(__file__).parent / "model_configs")


class PretrainedWeightsError(RuntimeError):
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
    if pretrained:
        _check_pretrained(name, pretrained)
    try:
        clip = open_clip.create_model(name, pretrained=pretrained or None)
    # open_clip passes on whatever its downloader and the file reader raise.
    except Exception as error:
        if not pretrained:
            raise
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise PretrainedWeightsError(
            f"expected to load the pretrained CLIP weights '{pretrained}' of '{name}', but: "
            f"{reason}. Connect to the network, or set MODEL.CLIP.PRETRAINED to the path of a "
            'downloaded CLIP checkpoint, or to "" for random weights.'
        ) from error
    split_attention(clip)
    return clip


def build_tokenizer(name: str) -> Callable[[list[str]], Tensor]:
    """The tokenizer that goes with a model name or configuration file (see `load_clip`)."""
    return open_clip.get_tokenizer(_resolve_name(name))


def split_attention(clip: nn.Module) -> None:
    """Give every transformer block of `clip` separate q, k and v parameters, in place."""
    for module in clip.modules():
        if isinstance(module, ResidualAttentionBlock) and isinstance(
            module.attn, nn.MultiheadAttention
        ):
            module.attn = SplitQKVAttention.from_packed(module.attn)


def _resolve_name(name: str) -> str:
    """Register a configuration file under its stem; check a name against those known."""
    if name.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(
                f"expected MODEL.CLIP.NAME to name an open_clip model configuration, got {name}, "
                "which is not a file; check the path."
            )
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


def _check_pretrained(name: str, pretrained: str) -> None:
    if Path(pretrained).is_file():
        return
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
