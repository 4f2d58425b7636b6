"""Mean and deviation of the pixels that a CLIP was trained with."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
from detectron2.config import CfgNode

from ...io.json_files import read_json
from ...io.regular_files import is_file

logger = logging.getLogger(__name__)

# In the repositories in which CLIPs of open_clip are published, beside the weights.
_CONFIG_FILE = "open_clip_config.json"
_KEYS = ("mean", "std")


def from_config(cfg: CfgNode) -> dict[str, list[float]]:
    """Mean and standard deviation for a configuration's CLIP, as arguments of a meta-architecture.

    MODEL.PIXEL_MEAN and MODEL.PIXEL_STD count where they are set. Their defaults are those of most
    CLIPs; they stand for the values that MODEL.CLIP.PRETRAINED was trained with, if these are known
    to be others. This does not depend on MODEL.WEIGHTS: whoever trained from these weights did it
    with the same values.

    Args:
        cfg: MODEL.PIXEL_MEAN, MODEL.PIXEL_STD, MODEL.CLIP and INPUT.FORMAT are used.

    Returns:
        "pixel_mean" and "pixel_std": three numbers each, range 0..255, in the order of
        INPUT.FORMAT.
    """
    configured = {"mean": list(cfg.MODEL.PIXEL_MEAN), "std": list(cfg.MODEL.PIXEL_STD)}
    own = _published(cfg.MODEL.CLIP.NAME, cfg.MODEL.CLIP.PRETRAINED)
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
                *(key.upper(), values, cfg.MODEL.CLIP.PRETRAINED, wanted),
            )
    return {f"pixel_{key}": values for key, values in result.items()}


def _published(name: str, pretrained: str) -> Mapping[str, Any]:
    """What is known of how weights were trained; empty for nothing."""
    if not pretrained:
        return {}
    beside = Path(pretrained).parent / _CONFIG_FILE
    if not is_file(pretrained):
        name = Path(name).stem if name.endswith(".json") else name
        return open_clip.get_pretrained_cfg(name, pretrained)
    try:
        found = read_json(beside)["preprocess_cfg"]
        legal = all(len(found[key]) == 3 and sum(map(float, found[key])) >= 0 for key in _KEYS)
    # Not there, or not what it is in those repositories.
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return found if legal else {}


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(
        abs(a - b) < 1e-3 for a, b in zip(one, other, strict=True)
    )
