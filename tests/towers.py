"""Small CLIPs of every family: open_clip's configurations, few blocks deep and few channels wide.

Nothing but depth and width differs from the models that have weights, and the tokenizer where that
would have to be fetched.
"""

import copy
import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from timm.models import register_model
from torch import nn

from fgaseg_d2.modeling.towers import load_clip, load_image_tower

# Family -> a name of open_clip, and what makes its image tower small.
_VIT = {"depth": 3, "embed_dim": 64, "num_heads": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "metaclip": ("ViT-B-16-quickgelu", {"layers": 3, "width": 64, "head_width": 32}),
    "clipa": ("ViT-L-14-CLIPA", {"layers": 3, "width": 64, "head_width": 32}),
    "coca": ("coca_ViT-B-32", {"layers": 3, "width": 64, "head_width": 32}),
    "eva01": ("EVA01-g-14", _VIT),
    "eva02": ("EVA02-B-16", _VIT),
    "siglip": ("ViT-B-16-SigLIP", _VIT),
    "siglip2": ("ViT-L-16-SigLIP2-256", _VIT),
    "pe_core": ("PE-Core-B-16", _VIT),
    "vitamin": ("ViTamin-S", {"depth": 3}),
    "convnext": ("convnext_base_w", {"depths": (1, 1, 1, 1), "dims": (16, 32, 64, 96)}),
    "convnext_mlp": ("convnext_large_d", {"depths": (1, 1, 1, 1), "dims": (16, 32, 64, 96)}),
    "fastvit": ("MobileCLIP-S1", {"layers": (1, 1, 1, 1), "embed_dims": (16, 32, 64, 128)}),
    "resnet": ("RN50", {"layers": (1, 1, 1, 1), "width": 16}),
}
# Image towers without text: timm's names.
IMAGE_ONLY: dict[str, tuple[str, dict[str, Any]]] = {
    "dinov2": ("vit_small_patch14_reg4_dinov2", _VIT),
    "dinov3": ("vit_small_patch16_dinov3_qkvb", _VIT),
    "swin": ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "embed_dim": 24}),
}
PYRAMIDS = ("convnext", "convnext_mlp", "fastvit", "resnet", "swin")
# At a picture's size that is cheap, and another shape.
SIZES = {"clipa": (56, 84), "eva01": (56, 84), "dinov2": (56, 84)}
# Gone when the tests end.
_TEMPORARY = tempfile.TemporaryDirectory(prefix="fgaseg_d2_towers_")
_FOLDER = Path(_TEMPORARY.name)


@functools.cache
def shrunk(name: str, channels: int = 32, **vision: Any) -> str:
    """A model configuration of open_clip with a smaller image tower and a small text tower.

    Args:
        name: of open_clip.
        channels: of the joint space, where that does not follow from the image tower.
        vision: what changes in the image tower, by timm's names or open_clip's.

    Returns:
        The path of a file.
    """
    cfg = copy.deepcopy(open_clip.get_model_config(name))
    image, text = cfg["vision_cfg"], cfg["text_cfg"]
    cfg["embed_dim"] = channels
    if "timm_model_name" in image:
        image["timm_model_name"] = _register(image["timm_model_name"], vision)
        if image.get("timm_proj") == "none":
            cfg["embed_dim"] = vision["embed_dim"]
    else:
        image.update(vision)
    # A tokenizer of its own would have to be fetched.
    for key in ("hf_tokenizer_name", "tokenizer_kwargs"):
        text.pop(key, None)
    text.update(width=32, heads=2, layers=2, vocab_size=49408)
    if "multimodal_cfg" in cfg:
        cfg["multimodal_cfg"].update(width=32, heads=2, layers=1)
    # open_clip takes another tokenizer where a name says SigLIP.
    path = _FOLDER / f"small-{name.replace('SigLIP', 'Sig')}-{len(list(_FOLDER.iterdir()))}.json"
    path.write_text(json.dumps(cfg))
    return str(path)


def small_clip(family: str) -> str:
    """The configuration file of a small CLIP of a family."""
    name, vision = FAMILIES[family]
    return shrunk(name, **vision)


def small_name(family: str) -> str:
    """What MODEL.CLIP.NAME takes: a configuration file, or the name of a small model of timm."""
    if family in FAMILIES:
        return small_clip(family)
    name, arguments = IMAGE_ONLY[family]
    return _register(name, arguments)


def size_of(family: str) -> tuple[int, int]:
    """Height and width of a picture that a family takes, in few tokens."""
    if family == "swin":
        return (224, 224)
    return SIZES.get(family, (128, 192) if family in (*PYRAMIDS, "coca") else (64, 96))


def _register(name: str, arguments: dict[str, Any]) -> str:
    """Make a smaller variant of a model of timm known under a name of its own."""
    variant = f"small_{name}"
    if not timm.is_model(variant):

        def build(pretrained: bool = False, **kwargs: Any) -> nn.Module:
            return timm.create_model(name, **arguments, **kwargs)

        build.__name__ = variant
        register_model(build)
    return variant


@torch.no_grad()
def excite(model: nn.Module) -> nn.Module:
    """Give a model norms, biases and scales that are not trivial, in place."""
    generator = torch.Generator().manual_seed(7)
    for parameter in model.parameters():
        # open_clip leaves a matrix of CoCa's decoder as the memory was.
        parameter.nan_to_num_().clamp_(-9, 9).add_(
            0.05 * torch.randn(parameter.shape, generator=generator)
        )
    return model.eval()


@functools.cache
def library_and_tower(family: str) -> tuple[nn.Module, nn.Module]:
    """A model as its library has it, and the image tower of the same weights with split q, k, v.

    Returns:
        open_clip's CLIP, or timm's model of a family without text; and what a tower is made of.
    """
    torch.manual_seed(0)
    if family in FAMILIES:
        path = Path(small_clip(family))
        open_clip.add_model_config(path)
        library = excite(open_clip.create_model(path.stem))
        weights = _FOLDER / f"{path.stem}.pt"
        torch.save(library.state_dict(), weights)
        return library, load_clip(str(path), str(weights)).visual.eval()
    name = small_name(family)
    library = excite(timm.create_model(name, num_classes=0))
    weights = _FOLDER / f"{name}.pt"
    torch.save(library.state_dict(), weights)
    return library, load_image_tower(name, str(weights)).eval()
