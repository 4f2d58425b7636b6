"""Whether the weights of a configuration are on this machine, and how they come here."""

from __future__ import annotations

from detectron2.config import CfgNode

from ..checkpoint.downloads import cache_path
from ..checkpoint.files import locate_checkpoint
from ..checkpoint.hub import is_hub, kept_hub_file
from ..checkpoint.transfers import is_url
from ..modeling.towers.kept_files import kept_clip
from ..modeling.towers.loading import load_clip


def kept_weights(cfg: CfgNode) -> str:
    """The file that a model's weights come from, without fetching it.

    Args:
        cfg: complete configuration.

    Returns:
        A local path; "" where the weights would be fetched, or are random.

    Raises:
        OSError, ValueError: MODEL.WEIGHTS or MODEL.CLIP.PRETRAINED leads nowhere.
    """
    clip = cfg.MODEL.CLIP
    address = cfg.MODEL.WEIGHTS or clip.PRETRAINED
    if is_url(address):
        path = cache_path(address)
        return str(path) if path.is_file() else ""
    if is_hub(address):
        return kept_hub_file(address)
    if cfg.MODEL.WEIGHTS or "/" in address:
        return locate_checkpoint(address) if address else ""
    return kept_clip(clip.NAME, address) if address else ""


def fetch_weights(cfg: CfgNode) -> str:
    """Fetch a model's weights, unless they are here; returns the file.

    Args:
        cfg: complete configuration.

    Raises:
        OSError: they could not be fetched.
    """
    if cfg.MODEL.WEIGHTS:
        return locate_checkpoint(cfg.MODEL.WEIGHTS)
    load_clip(cfg.MODEL.CLIP.NAME, cfg.MODEL.CLIP.PRETRAINED)
    return kept_weights(cfg)
