"""How the pictures were that a tower was trained with: mean and deviation of pixels, and size."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
from detectron2.config import CfgNode

from ...io.json_files import read_json
from ...io.regular_files import is_file
from .base import ImageTower
from .model_names import is_timms
from .timm_models import timm_preprocessing

logger = logging.getLogger(__name__)

# In the repositories in which CLIPs of open_clip are published, beside the weights.
_CONFIG_FILE = "open_clip_config.json"
_KEYS = ("mean", "std")
# Which stands for the tower's own size where the patch does not divide it.
_USUAL_SIZE = (384, 384)


def image_size(configured: Sequence[int], tower: ImageTower) -> tuple[int, int]:
    """The input size of a tower.

    Args:
        configured: MODEL.CLIP.IMAGE_SIZE; empty for what the tower was made for, which also stands
            for the default where the tower cannot take that.
        tower: which says what it was made for.
    """
    usual = tuple(configured) == _USUAL_SIZE
    if configured and not (usual and _USUAL_SIZE[0] % tower.size_divisibility):
        return configured[0], configured[-1]
    logger.info("MODEL.CLIP.IMAGE_SIZE: %s, as the tower was made for", list(tower.image_size))
    return tower.image_size


def from_config(cfg: CfgNode) -> dict[str, list[float]]:
    """Mean and standard deviation for a configuration's CLIP, as arguments of a meta-architecture.

    MODEL.PIXEL_MEAN and MODEL.PIXEL_STD count where they are set. Their defaults are those of most
    CLIPs; they stand for the values that MODEL.CLIP.PRETRAINED was trained with, if these are known
    to be others, or for those of all published weights of MODEL.CLIP.NAME, where they agree. This
    does not depend on MODEL.WEIGHTS: whoever trained from these weights did it with the same ones.

    Args:
        cfg: MODEL.PIXEL_MEAN, MODEL.PIXEL_STD, MODEL.CLIP and INPUT.FORMAT are used.

    Returns:
        "pixel_mean" and "pixel_std": three numbers each, range 0..255, in the order of
        INPUT.FORMAT.
    """
    configured = {"mean": list(cfg.MODEL.PIXEL_MEAN), "std": list(cfg.MODEL.PIXEL_STD)}
    own = published(cfg.MODEL.CLIP.NAME, cfg.MODEL.CLIP.PRETRAINED)
    usual = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    order = -1 if cfg.INPUT.FORMAT == "BGR" else 1
    result = {}
    for key, values in configured.items():
        wanted = [255 * value for value in own.get(key, usual[key])][::order]
        is_default = _alike(values, [255 * value for value in usual[key]][::order])
        result[key] = values
        if not _alike(values, wanted) and is_default:
            result[key] = wanted
            logger.info("MODEL.PIXEL_%s: %s, as the weights were trained", key.upper(), wanted)
        elif own and not _alike(values, wanted):
            logger.warning(
                "MODEL.PIXEL_%s is %s, but the weights '%s' were trained with %s",
                *(key.upper(), values, cfg.MODEL.CLIP.PRETRAINED or cfg.MODEL.CLIP.NAME, wanted),
            )
    return {f"pixel_{key}": values for key, values in result.items()}


def published(name: str, pretrained: str) -> Mapping[str, Any]:
    """What is known of how weights were trained; empty for nothing.

    Args:
        name: as MODEL.CLIP.NAME.
        pretrained: as MODEL.CLIP.PRETRAINED.

    Returns:
        "mean" and "std", three numbers each, range 0..1, RGB, perhaps among others.
    """
    if is_timms(name):
        return timm_preprocessing(name, pretrained)
    name = Path(name).stem if name.endswith(".json") else name
    if pretrained and not is_file(pretrained):
        return open_clip.get_pretrained_cfg(name, pretrained) or _of_name(name)
    try:
        found = read_json(Path(pretrained).parent / _CONFIG_FILE)["preprocess_cfg"]
        legal = all(len(found[key]) == 3 and sum(map(float, found[key])) >= 0 for key in _KEYS)
    # Not there, or not what it is in those repositories.
    except (OSError, ValueError, TypeError, KeyError):
        return _of_name(name)
    return found if legal else _of_name(name)


def _of_name(name: str) -> Mapping[str, Any]:
    """What all published weights of a name were trained with; empty where they differ."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    known = [open_clip.get_pretrained_cfg(name, tag) for tag in tags]
    agreed = all(one[key] == known[0][key] for one in known for key in _KEYS)
    return {key: known[0][key] for key in _KEYS} if known and agreed else {}


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(
        abs(a - b) < 1e-3 for a, b in zip(one, other, strict=True)
    )
