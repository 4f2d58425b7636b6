"""Random numbers that a checkpoint replaces are not drawn, and nothing depends on them."""

import pytest
import timm
import torch
from detectron2.modeling import build_model
from torch import nn

from fgaseg_d2 import OpenVocabPredictor
from fgaseg_d2.checkpoint import unfilled
from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.checkpoint.unfilled import UnfilledModel
from tests.conftest import build_small, config
from tests.methods.test_ldvc import LDVC
from tests.methods.test_mgca import MGCA
from tests.test_catseg import CATSEG
from tests.towers import small_clip

VARIANTS = {
    "fgaseg": (),
    "fast": ("MODEL.FGASEG.FAST.ENABLED", True),
    "prompts": ("MODEL.CLIP.PROMPT_LENGTH", 2, "MODEL.CLIP.PROMPT_DEPTH", 1),
    "dense": ("MODEL.META_ARCHITECTURE", "DenseCLIP"),
    "ldvc": LDVC,
    "mgca": MGCA,
    "contrastive": ("MODEL.META_ARCHITECTURE", "CLIPPretraining"),
    "eva02": ("MODEL.CLIP.NAME", small_clip("eva02")),
}


class Poisoned(unfilled._WithoutRandomFills):
    """Writes what is no number where nothing would be written."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        tensor = super().__torch_function__(func, types, args, kwargs)
        if func in unfilled._RANDOM_FILLS:
            with torch.no_grad():
                tensor.fill_(torch.nan)
        return tensor


@pytest.fixture
def poison(monkeypatch):
    monkeypatch.setattr(unfilled, "_WithoutRandomFills", Poisoned)


def whole(model):
    """All tensors, those too that are not saved."""
    return {**dict(model.named_buffers()), **model.state_dict()}


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_not_drawn_comes_from_the_checkpoint(variant, tmp_path, poison):
    model = build_small(*VARIANTS[variant], seed=4)
    torch.save({"model": model.state_dict()}, tmp_path / "model.pth")
    cfg = config("tests/data/small.yaml", *VARIANTS[variant])
    bare = UnfilledModel(lambda: build_model(cfg)).model
    assert any(tensor.isnan().any() for tensor in bare.state_dict().values())
    loaded = OpenVocabPredictor(cfg, tmp_path / "model.pth").model
    assert same(whole(loaded), whole(model))


class Count(torch.overrides.TorchFunctionMode):
    """Notes the calls of some functions; outside the other mode, which hands on what it runs."""

    def __init__(self, functions):
        super().__init__()
        self.functions, self.calls = functions, []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.functions:
            self.calls.append(func)
        return func(*args, **(kwargs or {}))


def test_no_random_number_is_drawn(tmp_path):
    torch.save({"model": build_small(seed=4).state_dict()}, tmp_path / "model.pth")
    with Count(unfilled._RANDOM_FILLS) as count:
        OpenVocabPredictor(config("tests/data/small.yaml"), tmp_path / "model.pth")
    assert count.calls == []


def test_nor_is_made_of_them_what_timm_makes():
    """Its normal distribution is a uniform one at first, which takes as long to bend as to draw."""

    def build():
        return timm.create_model("eva02_tiny_patch14_224", depth=2)

    with Count({torch.Tensor.uniform_, torch.Tensor.erfinv_}) as count:
        model = UnfilledModel(build).model
    assert count.calls == []
    drawn = build()
    model.load_state_dict(drawn.state_dict())
    assert same(whole(model), whole(drawn))


def test_what_lies_in_the_memory_is_not_drawn_again_until_it_fits():
    """As torch's truncated normal distribution does, for ever where nothing is drawn."""
    tensor = torch.full((64, 64), 9.0)
    with unfilled._WithoutRandomFills():
        nn.init.trunc_normal_(tensor, std=0.02)
    assert (tensor == 9).all()


def test_what_a_format_leaves_to_the_model_has_its_usual_values(tmp_path, poison):
    torch.save({"model": build_small(*CATSEG, seed=4).state_dict()}, tmp_path / "catseg.pth")
    usual = build_small(seed=6)
    FGASegCheckpointer(usual).load(str(tmp_path / "catseg.pth"))
    cfg = config("tests/data/small.yaml")
    torch.manual_seed(6)
    assert same(
        whole(OpenVocabPredictor(cfg, tmp_path / "catseg.pth").model),
        whole(usual),
    )


def test_a_checkpoint_that_lacks_something_is_refused_as_before(tmp_path):
    state = build_small().state_dict()
    del state["sem_seg_head.p2tformer.gamma"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(ValueError, match="lacks .* 1 of"):
        OpenVocabPredictor(config("tests/data/small.yaml"), tmp_path / "less.pth")


@pytest.mark.parametrize(
    "opts", [("MODEL.WEIGHTS", ""), ("MODEL.WEIGHTS_PARTIAL", True)], ids=["none", "partial"]
)
def test_without_a_whole_checkpoint_the_model_is_drawn(opts, tmp_path, poison):
    state = build_small(seed=4).state_dict()
    kept = {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}
    torch.save({"model": kept}, tmp_path / "part.pth")
    cfg = config("tests/data/small.yaml", "MODEL.WEIGHTS", str(tmp_path / "part.pth"), *opts)
    torch.manual_seed(6)
    found = OpenVocabPredictor(cfg).model.state_dict()
    expected = build_small(seed=6).state_dict() | (kept if cfg.MODEL.WEIGHTS else {})
    assert same(found, expected)


class WithTable(nn.Module):
    """A layer, and a table of random numbers that is not saved."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("table", torch.empty(3).normal_(), persistent=False)


def test_what_no_checkpoint_can_bring_is_drawn():
    torch.manual_seed(3)
    expected = WithTable()
    torch.manual_seed(3)
    assert same(whole(UnfilledModel(WithTable).model), whole(expected))
