"""DenseCLIP's keys: the node MODEL.DENSE_CLIP."""

from __future__ import annotations

from detectron2.config import CfgNode as CN

from ...config.methods import MethodConfig, Part, register_method
from ...config.rules import TEXT

_PROXYCLIP = "proxyclip"


def add_config(cfg: CN) -> None:
    """Add MODEL.DENSE_CLIP, with its defaults, to a configuration."""
    # With MODEL.CLIP.DENSE_READING proxyclip: the frozen tower by whose tokens places are alike.
    proxy = CN()
    # What MODEL.CLIP.NAME takes, timm's names as well ("vit_base_patch8_224"). "": none.
    proxy.NAME = ""
    # As MODEL.CLIP.PRETRAINED; of a model of timm one of its tags ("dino").
    proxy.PRETRAINED = ""
    cfg.MODEL.DENSE_CLIP = CN()
    cfg.MODEL.DENSE_CLIP.PROXY = proxy


def _proxy_with_its_reading(cfg: CN) -> str | None:
    """The one means nothing without the other."""
    name, reading = cfg.MODEL.DENSE_CLIP.PROXY.NAME, cfg.MODEL.CLIP.DENSE_READING
    method = cfg.MODEL.META_ARCHITECTURE
    if method != "DenseCLIP":
        if reading != _PROXYCLIP:
            return None
        return (
            f"expected MODEL.META_ARCHITECTURE DenseCLIP with MODEL.CLIP.DENSE_READING 'proxyclip',"
            f" got '{method}'"
        )
    if reading == _PROXYCLIP and not name:
        return (
            "expected MODEL.DENSE_CLIP.PROXY.NAME with MODEL.CLIP.DENSE_READING 'proxyclip', got "
            "''; name a tower such as vit_base_patch8_224"
        )
    if name and reading != _PROXYCLIP:
        return (
            "expected MODEL.CLIP.DENSE_READING 'proxyclip' with MODEL.DENSE_CLIP.PROXY.NAME, got "
            f"'{reading}'"
        )
    return None


def _proxy(cfg: CN) -> str:
    proxy = cfg.MODEL.DENSE_CLIP.PROXY
    return f"the proxy {proxy.NAME} ({proxy.PRETRAINED or 'random'})" if proxy.NAME else ""


register_method(
    MethodConfig(
        "DenseCLIP",
        node="MODEL.DENSE_CLIP",
        add_keys=add_config,
        rules={"PROXY.NAME": TEXT, "PROXY.PRETRAINED": TEXT},
        relations=(_proxy_with_its_reading,),
        parts=(
            Part("MODEL.META_ARCHITECTURE", ("MODEL.SEM_SEG_HEAD.NAME",), lambda name: False),
            Part("MODEL.DENSE_CLIP.PROXY.NAME", ("MODEL.DENSE_CLIP.PROXY.PRETRAINED",)),
        ),
        other_weights=_proxy,
        trained_on="nothing",
    )
)
