"""Configurations of towers: each builds with its tower, made small, and segments a picture."""

import open_clip
import pytest
import torch

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.config.rows import row_names
from fgaseg_d2.modeling.towers import normalisation
from tests.conftest import ROOT, build_small, config
from tests.towers import FAMILIES, shrunk

TABLE = ROOT / "configs" / "fgaseg" / "training_free_towers.yaml"
FAMILY_OF = {
    "metaclip_b16": "metaclip",
    "eva02_b16": "eva02",
    "eva02_l14_336": "eva02",
    "siglip2_b16": "siglip2",
    "siglip2_l16": "siglip2",
    "convnext_b": "convnext",
}
CLIP_KEYS = ("DENSE_READING", "POSITION_RESIZE", "FINETUNE")


@pytest.mark.parametrize("row", [False, True], ids=["training", "training-free"])
@pytest.mark.parametrize("name", FAMILY_OF)
def test_a_configuration_fits_its_tower(name, row):
    path = f"training_free_towers/{name}.yaml" if row else f"{name}.yaml"
    cfg = load_config(str(ROOT / "configs" / "fgaseg" / path), device="cpu")
    clip = cfg.MODEL.CLIP
    assert clip.PRETRAINED in open_clip.list_pretrained_tags_by_model(clip.NAME)
    small = shrunk(clip.NAME, **FAMILIES[FAMILY_OF[name]][1])
    keys = [item for key in CLIP_KEYS for item in (f"MODEL.CLIP.{key}", clip[key])]
    size = [side // 4 if name == "convnext_b" else side // 2 for side in clip.IMAGE_SIZE]
    size = clip.IMAGE_SIZE if any(side % 32 for side in size) else size
    model = build_small(
        *("MODEL.CLIP.NAME", small, "MODEL.CLIP.IMAGE_SIZE", list(size), *keys),
        *("MODEL.META_ARCHITECTURE", cfg.MODEL.META_ARCHITECTURE, "DATASETS.TEST", ()),
    )
    window = cfg.TEST.SLIDING_WINDOW
    if row:
        assert list(window.SIZE) == list(clip.IMAGE_SIZE)
        assert cfg.MODEL.META_ARCHITECTURE == "DenseCLIP"
    assert not any(side % model.backbone.size_divisibility for side in clip.IMAGE_SIZE)
    with torch.no_grad():
        (result,) = model([{"image": torch.rand(3, 40, 50) * 255, "vocabulary": "cat,dog"}])
    assert result["sem_seg"].shape == (2, 40, 50)


def test_every_tower_has_a_training_free_row():
    assert row_names(TABLE) == list(FAMILY_OF)


@pytest.mark.parametrize(
    ("name", "pretrained", "mean"),
    [
        ("ViT-B-16-SigLIP2-384", "webli", 127.5),
        ("ViT-B-16-SigLIP2-384", "", 127.5),
        ("MobileCLIP-S1", "", 0.0),
        ("EVA02-B-16", "", 122.7709),
        ("ViT-L-14-CLIPA", "datacomp1b", 123.675),
        # Its weights were trained with others, so that without any nobody knows.
        ("ViT-L-14", "", 122.7709),
        ("vit_small_patch14_reg4_dinov2", "lvd142m", 123.675),
        ("vit_base_patch16_siglip_224.webli", "", 127.5),
    ],
)
def test_pixels_are_normalised_as_the_tower_was_trained(name, pretrained, mean):
    cfg = config("configs/fgaseg/vitb16_384.yaml")
    cfg.MODEL.CLIP.NAME, cfg.MODEL.CLIP.PRETRAINED = name, pretrained
    values = normalisation.from_config(cfg)
    assert values["pixel_mean"][0] == pytest.approx(mean, abs=1e-3)
