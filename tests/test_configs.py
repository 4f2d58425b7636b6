"""Every configuration file of the repository builds the model it says."""

import pytest

from fgaseg_d2.methods.fgaseg import FGASeg
from tests.conftest import ROOT, build, config

FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml"))
# CLIP ViT-L and larger only shallow, in tests/modeling/test_clip.py: gigabytes say nothing more.
# The rows of tables and the studies have tests of their own.
BUILT = [
    path
    for path in FILES
    if not any(word in path for word in ("vitl", "ablations", "readings", "training_free_towers"))
    # Its tokenizer comes from the network; tests/test_tower_configs.py builds it with another.
    and "siglip2" not in path
    and ("studies" not in path or "base" in path)
]


@pytest.mark.parametrize("path", BUILT)
def test_builds(path):
    model = build(path, "MODEL.CLIP.PRETRAINED", "")
    cfg = config(path)
    assert type(model).__name__ == cfg.MODEL.META_ARCHITECTURE
    if isinstance(model, FGASeg):
        assert type(model.sem_seg_head).__name__ == cfg.MODEL.SEM_SEG_HEAD.NAME
    assert model.image_size == tuple(cfg.MODEL.CLIP.IMAGE_SIZE)


def test_the_large_configuration_is_read():
    cfg = config("configs/fgaseg/vitl14_336.yaml")
    assert (cfg.MODEL.CLIP.NAME, cfg.MODEL.CLIP.IMAGE_SIZE) == ("ViT-L-14-336-quickgelu", [336] * 2)
