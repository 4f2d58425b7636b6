"""Builds the model of a segmentation, with random weights where CLIP's cannot be had."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager

from detectron2.config import CfgNode

from fgaseg_d2.checkpoint.files import BUNDLED
from fgaseg_d2.config.models import MODELS
from fgaseg_d2.modeling.towers.loading import PretrainedWeightsError
from fgaseg_d2.predict.predictor import OpenVocabPredictor

from . import messages


def make_predictor(cfg: CfgNode, name: str) -> OpenVocabPredictor:
    """Build the model; without network it gets random weights, with a loud word about it.

    A model that is known by its weights is nothing without them.

    Args:
        cfg: of the model.
        name: what the user calls it.
    """
    pretrained = cfg.MODEL.CLIP.PRETRAINED
    fetching: AbstractContextManager[None] = contextlib.nullcontext()
    here = os.path.isfile(pretrained) or pretrained.startswith(BUNDLED)
    if pretrained and not cfg.MODEL.WEIGHTS and not here:
        messages.complain(f"fetching CLIP's weights {pretrained!r}, unless they are here")
        fetching = _failing_fast_without_network()
    try:
        with fetching:
            return OpenVocabPredictor(cfg)
    except PretrainedWeightsError as error:
        # A file of one's own that cannot be read is an error; only a download may fail.
        if os.path.isfile(pretrained) or (name in MODELS and MODELS[name].megabytes):
            raise
        messages.complain(f"warning: {' '.join(str(error).split())}")
        messages.complain(
            "warning: going on with RANDOM WEIGHTS, only to show that everything runs: what the "
            "model finds means NOTHING. Give --weights with a trained checkpoint."
        )
    return OpenVocabPredictor(cfg, opts=("MODEL.CLIP.PRETRAINED", ""))


@contextlib.contextmanager
def _failing_fast_without_network() -> Iterator[None]:
    """Spare the downloader's many attempts, and its words about each, where no name resolves."""
    from huggingface_hub import constants

    log = logging.getLogger("huggingface_hub")
    level, offline = log.level, constants.HF_HUB_OFFLINE
    log.setLevel(logging.CRITICAL)
    constants.HF_HUB_OFFLINE = offline or not _names_resolve()
    try:
        yield
    finally:
        log.setLevel(level)
        constants.HF_HUB_OFFLINE = offline


def _names_resolve() -> bool:
    """Whether the hub's name does, or a proxy resolves it."""
    from huggingface_hub import constants

    if urllib.request.getproxies():
        return True
    hub = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or constants.ENDPOINT)
    try:
        socket.getaddrinfo(hub.hostname, hub.port or hub.scheme)
    except OSError:
        return False
    return True
