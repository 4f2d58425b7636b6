"""Names of models and of their weights: what open_clip and timm know, and what fits together."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import open_clip

from ...io.json_files import read_json
from ...io.regular_files import home_path, is_file
from ...wording import plain, shown
from .timm_models import is_timm_name, timm_tags

# What open_clip knows a model configuration by.
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")

open_clip.add_model_config(Path(__file__).parent / "model_configs")


def resolve_name(name: str) -> str:
    """Register a configuration file under its stem; check a name against those known.

    Raises:
        ValueError: neither open_clip nor a file knows it.
        FileNotFoundError: the configuration file is not there.
    """
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
    if name not in known and is_timm_name(name):
        raise ValueError(
            f"expected `name` to be a CLIP with a text tower, got {shown(name)}, a model of timm "
            "without one; choose a model of open_clip (open_clip.list_models())."
        )
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3)) or "see open_clip.list_models"
        raise ValueError(
            f"expected `name` to be a model that open_clip knows or a .json file, "
            f"got {shown(name)}; did you mean: {near}?"
        )
    return name


def check_tag(name: str, pretrained: str) -> None:
    """Raise a ValueError or FileNotFoundError for a tag that open_clip does not have for a name."""
    _check_listed(name, pretrained, open_clip.list_pretrained_tags_by_model(name), "open_clip")
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    check_activation(name, pretrained, tag.get("quick_gelu", False))


def check_timm_tag(name: str, pretrained: str) -> None:
    """Raise a ValueError or FileNotFoundError for a tag that timm does not have for a name."""
    _check_listed(name, pretrained, timm_tags(name), "timm")


def is_timms(name: str) -> bool:
    """Whether a name is of timm's and not of open_clip's."""
    # timm drops whatever stands behind a dot.
    if name.endswith(".json"):
        return False
    return name not in open_clip.list_models() and is_timm_name(name)


def _check_listed(name: str, pretrained: str, tags: Sequence[str], library: str) -> None:
    if "/" in pretrained or Path(pretrained).suffix:
        raise FileNotFoundError(
            f"expected `pretrained` to be a checkpoint file or a tag of {library}, got "
            f"{plain(pretrained)}, which is not a file; check the path."
        )
    if pretrained not in tags:
        raise ValueError(
            f"expected a pretrained tag that {library} has for '{name}', got '{pretrained}'; "
            f"choose one of: {', '.join(tags) or 'none, use a file'}."
        )


def check_activation(name: str, pretrained: str, quick_gelu: bool | None) -> None:
    """Refuse weights in a model with another activation than they were trained with.

    Args:
        name, pretrained: of a CLIP, see `load_clip`.
        quick_gelu: whether the weights were trained with QuickGELU; None where nobody knows.
    """
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
