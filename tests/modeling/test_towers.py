"""Image towers of every family against what open_clip and timm compute with the same weights."""

import copy

import open_clip
import pytest
import timm
import torch
from torch.nn import functional as F

from fgaseg_d2.checkpoint.unfilled import UnfilledModel
from fgaseg_d2.modeling.text.encoder import CLIPTextEncoder
from fgaseg_d2.modeling.text.prompts import encode_prompts
from fgaseg_d2.modeling.towers import build_tokenizer, load_clip, load_image_tower, tower_class
from fgaseg_d2.modeling.towers.base import DENSE, GLOBAL
from fgaseg_d2.modeling.towers.model_names import is_timms
from fgaseg_d2.modeling.towers.pyramid import PyramidTower
from fgaseg_d2.modeling.towers.split_attention import split_attention
from fgaseg_d2.modeling.towers.timm_vit import trunk_of
from tests.towers import (
    FAMILIES,
    IMAGE_ONLY,
    PYRAMIDS,
    excite,
    library_and_tower,
    size_of,
    small_clip,
)

ALL = (*FAMILIES, *IMAGE_ONLY)
# The smallest tower of each family.
REAL = (
    *("ViT-B-16-quickgelu", "ViT-L-14-CLIPA", "coca_ViT-B-32", "EVA02-B-16", "ViT-B-16-SigLIP"),
    *("ViT-B-32-SigLIP2-256", "PE-Core-T-16-384", "ViTamin-S", "MobileCLIP-B", "MobileCLIP-S1"),
    *("convnext_base", "RN50", "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"),
)
TIMM_VITS = [name for name in ALL if name not in (*PYRAMIDS, "metaclip", "clipa", "coca")]


def plain(visual):
    """The tower of a family, read as it was trained."""
    tower = tower_class(visual)
    return tower(visual, **({} if issubclass(tower, PyramidTower) else {"dense_reading": "clip"}))


def close(actual, expected):
    """To 1e-5 of the largest value: layers add in other orders."""
    torch.testing.assert_close(actual, expected, atol=1e-5 * max(1, expected.abs().max()), rtol=0)


def library_visual(library):
    return getattr(library, "visual", library)


def cells(visual, images):
    """Each place of a picture through the library's own last parts, alone: B x places x C."""
    head = getattr(visual, "head", torch.nn.Identity()) if hasattr(visual, "trunk") else _unchanged
    trunk = trunk_of(visual)
    if hasattr(visual, "transformer"):
        found = visual.forward_intermediates(images, indices=1, output_fmt="NLC")
        (tokens,) = found["image_intermediates"]
        if visual.attn_pool is not None:
            alone = [visual.attn_pool(token[:, None])[:, 0] for token in tokens.unbind(1)]
            tokens = torch.stack(alone, 1)
        return visual.ln_post(tokens) @ visual.proj
    if hasattr(visual, "attnpool"):
        x = visual.stem(images)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        x, pool = x.flatten(2).transpose(1, 2), visual.attnpool
        return pool.c_proj(F.linear(x, pool.v_proj.weight, pool.v_proj.bias))
    features = trunk.forward_features(images)
    if features.ndim == 3:
        tokens = features[:, trunk.num_prefix_tokens :].unbind(1)
        if trunk.attn_pool is not None:
            tokens = [trunk.attn_pool(token[:, None]) for token in tokens]
        return torch.stack([head(trunk.head(trunk.fc_norm(token))) for token in tokens], 1)
    if features.shape[1] == features.shape[2]:  # Swin puts the channels last.
        alone = [cell[:, None, None] for cell in features.flatten(1, 2).unbind(1)]
    else:
        alone = [cell[:, :, None, None] for cell in features.flatten(2).unbind(2)]
    return torch.stack([head(trunk.forward_head(cell)) for cell in alone], 1)


def _unchanged(x):
    return x


@pytest.mark.parametrize("family", ALL)
def test_read_plainly_a_tower_is_its_library(family):
    """Dense map, levels and global embedding, at the size that the model was made for."""
    library, visual = library_and_tower(family)
    library, tower = library_visual(library), plain(visual).eval()
    images = torch.randn(1, 3, *tower.image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        maps = tower(images, outputs=(DENSE, GLOBAL, *tower.levels))
        pooled = library(images)
        expected = cells(library, images)
    pooled = pooled[0] if isinstance(pooled, tuple) else pooled
    close(maps[GLOBAL], pooled)
    dense = maps[DENSE].flatten(2).transpose(1, 2)
    close(dense, expected)
    assert dense.std(1).mean() > 1e-3, "places differ"
    if family == "resnet":
        return
    source = library if hasattr(library, "transformer") else trunk_of(library)
    numbers = sorted(set(tower.levels.values()))
    with torch.no_grad():
        found = source.forward_intermediates(images, indices=numbers)
    found = found["image_intermediates"] if isinstance(found, dict) else found[1]
    for name, number in tower.levels.items():
        level = found[numbers.index(number)]
        close(maps[name], level)
        assert tower.output_shape()[name].channels == level.shape[1]
        assert tower.output_shape()[name].stride == images.shape[2] // level.shape[2]


@pytest.mark.parametrize("family", PYRAMIDS)
def test_a_pyramid_has_a_level_at_each_stride(family):
    shapes = plain(library_and_tower(family)[1]).output_shape()
    strides = {name: shape.stride for name, shape in shapes.items()}
    expected = {"res2": 4, "res3": 8, "res4": 16, "res5": 32, "dense": 32}
    assert strides == expected | {"guidance_early": 16, "guidance_late": 8}


def test_what_the_patch_does_not_divide_is_left_out_as_timm_does():
    """SigLIP's so400m was made for 384 pixels, of which its patches of 14 see 378."""
    small = {"img_size": 100, "depth": 3, "embed_dim": 32, "num_heads": 2, "num_classes": 0}
    library = excite(timm.create_model("vit_base_patch16_siglip_224", **small))
    visual = copy.deepcopy(library)
    split_attention(visual)
    tower, images = plain(visual).eval(), torch.randn(1, 3, 100, 100)
    assert tower.image_size == (96, 96)
    with torch.no_grad():
        maps = tower(images, outputs=(DENSE, GLOBAL))
        close(maps[GLOBAL], library(images))
        close(maps[DENSE].flatten(2).transpose(1, 2), cells(library, images))
        seen = tower(images[..., :96, :96], outputs=(GLOBAL,))
    assert torch.equal(seen[GLOBAL], maps[GLOBAL])


@pytest.mark.parametrize("family", TIMM_VITS)
def test_at_another_grid_a_tower_is_what_timm_makes_of_it(family):
    """Position embeddings, learned and rotary, and nothing of the model changes meanwhile."""
    library, visual = library_and_tower(family)
    size, tower = size_of(family), plain(visual).eval()
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    library = copy.deepcopy(library_visual(library))
    trunk_of(library).set_input_size(img_size=size)
    before = {name: tensor.clone() for name, tensor in tower.state_dict().items()}
    with torch.no_grad():
        dense = tower(images)[DENSE].flatten(2).transpose(1, 2)
        close(dense, cells(library, images))
        assert torch.equal(tower(images)[DENSE].flatten(2).transpose(1, 2), dense)
    assert all(torch.equal(before[name], tensor) for name, tensor in tower.state_dict().items())


@pytest.mark.parametrize("family", ["eva02", "siglip2", "dinov3", "convnext"])
def test_a_batch_is_its_pictures(family):
    _, visual = library_and_tower(family)
    tower = plain(visual).eval()
    images = torch.randn(3, 3, *size_of(family), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = tower(images, outputs=(DENSE, GLOBAL))
        for index, image in enumerate(images):
            alone = tower(image[None], outputs=(DENSE, GLOBAL))
            for name, maps in alone.items():
                close(maps[0], together[name][index])


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_what_open_clip_makes_of_it(family):
    library, _ = library_and_tower(family)
    path = small_clip(family)
    clip = load_clip(path, "")
    clip.load_state_dict(split_names(library, clip))
    tokenizer = build_tokenizer(path)
    encoder = CLIPTextEncoder(clip, tokenizer, ("a photo of a {}",)).eval()
    with torch.no_grad():
        expected = library.encode_text(tokenizer(["a photo of a cat", "a photo of a red boat"]))
        actual = encoder((("cat",), ("red boat",)))
    expected = F.normalize(expected, dim=-1)
    close(actual, expected)


def split_names(library, clip):
    """The weights of open_clip's text tower under the names of one with split q, k, v."""
    state = {name: tensor for name, tensor in clip.state_dict().items()}
    for name, tensor in library.state_dict().items():
        if name.startswith("visual."):
            continue
        for packed in ("in_proj_weight", "in_proj_bias"):
            if name.endswith(packed):
                kind = packed.removeprefix("in_proj_")
                stem = name.removesuffix(packed)
                parts = dict(zip("qkv", tensor.chunk(3)))
                state |= {f"{stem}{x}_proj.{kind}": part for x, part in parts.items()}
        if name in state:
            state[name] = tensor
    return state


def real_model(name):
    """A model at its real shape; drawing it as its library does would take most of a test."""

    def build():
        known = name in open_clip.list_models()
        return open_clip.create_model(name) if known else timm.create_model(name, num_classes=0)

    model, generator = UnfilledModel(build).model, torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.03, generator=generator)
    return excite(model)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_at_its_real_shape_a_tower_is_its_library(name):
    library = real_model(name)
    visual = library_visual(library)
    own = copy.deepcopy(visual)
    split_attention(own)
    tower = plain(own).eval()
    images = torch.randn(1, 3, *tower.image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        maps = tower(images, outputs=(DENSE, GLOBAL))
        pooled = visual(images)
        close(maps[DENSE].flatten(2).transpose(1, 2), cells(visual, images))
    close(maps[GLOBAL], pooled[0] if isinstance(pooled, tuple) else pooled)
    if visual is library:
        return
    text = getattr(library, "text", library)
    tokens = torch.randint(1, text.vocab_size, (2, text.context_length))
    with torch.no_grad():
        expected = F.normalize(library.encode_text(tokens), dim=-1)
        split_attention(text)
        close(encode_prompts(library, tokens, 2), expected)


def test_a_file_is_no_name_of_timms():
    """timm takes what stands behind a dot for the name of weights."""
    assert is_timms("vit_small_patch14_reg4_dinov2.lvd142m") and is_timms("timm/convnext_base")
    assert not is_timms("convnext_base")
    assert not is_timms("convnext_base.json") and not is_timms("vit_small_patch16_dinov3.json")
    with pytest.raises(FileNotFoundError, match="vit_small_patch16_dinov3.json, which is not a fi"):
        load_image_tower("vit_small_patch16_dinov3.json", "")


def test_towers_of_timm_alone_have_no_words():
    with pytest.raises(ValueError, match="of timm without one; choose a model of open_clip"):
        load_clip("vit_small_patch14_reg4_dinov2", "")
    with pytest.raises(ValueError, match="tag that timm has .* choose one of: lvd142m"):
        load_image_tower("vit_small_patch14_reg4_dinov2", "openai")
