"""docs/DETECTRON2.md: a whole model by LazyCall, and traced to a file, as printed there."""

import re

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyConfig, instantiate

from fgaseg_d2.methods.fgaseg import FGASeg
from tests.conftest import ROOT, build

WEIGHTS = "fgaseg_d2://storybook_vit8.safetensors"
IMAGE = torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(1)) * 255


def blocks():
    """The Python of the page: the LazyConfig, and the tracing."""
    text = (ROOT / "docs/DETECTRON2.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def described(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(blocks()[0], encoding="utf-8")
    return LazyConfig.load(str(path))


def with_weights(model):
    model.eval()
    DetectionCheckpointer(model).load(WEIGHTS)
    return model


def scores(model):
    with torch.no_grad():
        return model([{"image": IMAGE}])[0]["sem_seg"]


def test_lazy_config_describes_the_model_in_the_box(described, tmp_path, monkeypatch):
    model = with_weights(instantiate(described.model))
    assert type(model) is FGASeg
    words = ("MODEL.FGASEG.VOCABULARY", "red house,yellow house,sky,meadow")
    by_cfg = with_weights(build("configs/fgaseg/tiny.yaml", *words, "MODEL.WEIGHTS", ""))
    assert model.state_dict().keys() == by_cfg.state_dict().keys()
    trains = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trains == [name for name, value in by_cfg.named_parameters() if value.requires_grad]
    assert torch.equal(scores(model), scores(by_cfg))
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks()[1], "docs/DETECTRON2.md", "exec"), {"model": model})
    (traced,) = torch.jit.load("model.pt")(IMAGE)
    torch.testing.assert_close(traced, scores(model), atol=5e-6, rtol=0)


def test_saved_and_changed_from_the_command_line(described, tmp_path):
    path = str(tmp_path / "model.yaml")
    LazyConfig.save(described, path)
    changes = [
        *("model.sem_seg_head.keep_classes=2", "model.test_vocabulary='sky|cloud,tree,road'"),
        "model.sliding_window=[[300,300],[256,256],[44,44]]",
        "model.sem_seg_head.local_similarity=null",
        *("model.sem_seg_head.decoder.local=false", "model.backbone.prompt_length=2"),
        *("model.backbone.prompt_depth=1", "model.finetune=prompt"),
    ]
    model = instantiate(LazyConfig.apply_overrides(LazyConfig.load(path), changes).model)
    assert scores(model.eval()).shape == (3, 90, 120)
    losses = model.train()(
        [{"image": IMAGE, "sem_seg": torch.zeros(90, 120).long(), "vocabulary": "sky,tree"}]
    )
    sum(losses.values()).backward()
    trained = {name for name, value in model.named_parameters() if value.grad is not None}
    assert "backbone.prompt_tokens" in trained
