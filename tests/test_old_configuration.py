"""A whole configuration dumped by 0.1 gives the model and the optimizer of today's keys."""

import hashlib
from collections import defaultdict

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model

from fgaseg_d2 import add_fgaseg_config
from fgaseg_d2.config import load_config
from fgaseg_d2.engine.optimizer import build_optimizer
from tests.conftest import ROOT, config

# `cfg.dump()` of 0.1 for tests/data/small.yaml with what TODAY says, under the names of that time.
DUMP = ROOT / "tests" / "data" / "config_of_0.1.yaml"
TODAY = (
    *("MODEL.WORDS.VOCABULARY", "red house|cottage,tree,sky"),
    *("MODEL.WORDS.PROMPT_TEMPLATES", "a drawing of a {}"),
    *("SOLVER.LR_MULTIPLIERS.CLIP", 0.03, "SOLVER.WEIGHT_DECAY", 0.02),
    *("MODEL.FGASEG.LOSS.MAIN", "ce", "MODEL.SCORES", "softmax", "SEED", 7),
)
# What 0.1 itself made of the dump: tensors and numbers by learning rate and weight decay, and the
# names and shapes of its checkpoints.
GROUPS = {
    (2.1e-05, 0.02): (11, 32768),
    (0.0007, 0.0): (46, 1312),
    (0.0007, 0.02): (123, 205107),
}
STATE = (284, 2033333, "3949c52741745dc5a8c9c92ca351e99a7a1b34747e31936d83f5cb837fd35afb")


def by_detectron2():
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    cfg.merge_from_file(str(DUMP))
    return cfg


@pytest.fixture(params=["detectron2", "ours"])
def old(request, monkeypatch):
    monkeypatch.chdir(ROOT)  # the dump names a file from there
    return by_detectron2() if request.param == "detectron2" else load_config(DUMP)


def built(cfg):
    torch.manual_seed(0)
    return build_model(cfg)


def settings(cfg, model):
    """Learning rate and weight decay of each parameter that trains, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in build_optimizer(cfg, model).param_groups
        for parameter in group["params"]
    }


def test_the_dump_has_the_names_of_0_1_alone():
    text = DUMP.read_text(encoding="utf-8")
    for new in ("WORDS:", "SCORES:", "LR_MULTIPLIERS:", "UNSEEN:"):
        assert new not in text
    assert "CLIP_MULTIPLIER: 0.03" in text and "UNSEEN_CLASSES:" in text


def test_it_builds_the_same_model(old):
    model, today = built(old), built(config("tests/data/small.yaml", *TODAY))
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes == {name: tuple(value.shape) for name, value in today.state_dict().items()}
    lines = "\n".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
    numbers = sum(value.numel() for value in model.state_dict().values())
    assert (len(shapes), numbers, hashlib.sha256(lines.encode()).hexdigest()) == STATE
    assert model.test_vocabulary == today.test_vocabulary
    assert model.test_vocabulary.class_names == ("red house", "tree", "sky")
    image = torch.rand(3, 70, 90, generator=torch.Generator().manual_seed(1)) * 255
    labels = torch.zeros(70, 90, dtype=torch.int64)
    with torch.no_grad():
        words = model.test_vocabulary
        view = model.normalize(image)[None, :, :64, :64]
        assert torch.equal(model.eval().logits(view, words), today.eval().logits(view, words))
        ours, theirs = (m([{"image": image}])[0]["sem_seg"] for m in (model, today))
        assert torch.equal(ours, theirs)
        # Entries compete in a softmax, because the loss does in 0.1; of two synonyms one counts.
        assert ours.sum(0).max() <= 1 + 1e-5
        sample = {"image": image, "sem_seg": labels, "vocabulary": words.with_synonyms("mean")}
        ours, theirs = (m.train()([sample]) for m in (model, today))
    assert ours == theirs and "loss_sem_seg" in ours


def test_it_trains_by_the_same_rates(old):
    today, model = config("tests/data/small.yaml", *TODAY), built(old)
    found = settings(old, model)
    assert found == settings(today, built(today))
    groups = defaultdict(lambda: [0, 0])
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    for name, (rate, decay) in found.items():
        groups[round(rate, 9), decay][0] += 1
        groups[round(rate, 9), decay][1] += sizes[name]
    assert {key: tuple(counted) for key, counted in groups.items()} == GROUPS
