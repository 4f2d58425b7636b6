"""Learned tokens in the text tower: they begin without effect, and both caches know them."""

import copy

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from fgaseg_d2.checkpoint import FGASegCheckpointer
from fgaseg_d2.modeling.text import CLIPTextEncoder
from fgaseg_d2.modeling.text.cache import TextCache
from fgaseg_d2.modeling.towers import build_tokenizer, load_clip
from tests.conftest import ROOT

SMALL = str(ROOT / "tests" / "data" / "clip" / "Small-ViT-8.json")
# Three entries of different length, one of them with two names.
ENTRIES = (("cat",), ("a very red house by the sea",), ("dog", "hound"))
TEMPLATE = "A photo of a {} in the scene"


def encoder(seed: int = 0, templates=(TEMPLATE,), **settings) -> CLIPTextEncoder:
    """The smallest text tower, with random weights."""
    torch.manual_seed(seed)
    return CLIPTextEncoder(load_clip(SMALL, ""), build_tokenizer(SMALL), templates, **settings)


def learning(seed: int = 0, **settings) -> CLIPTextEncoder:
    """The same with learned prompts."""
    text = encoder(seed, **settings)
    text.learn_prompts()
    return text


@pytest.mark.parametrize("template", [TEMPLATE, "a very good old photo of the {}."], ids=["4", "7"])
def test_the_prompted_tower_begins_as_clips(template):
    plain, prompted = encoder(templates=(template,)), learning(templates=(template,))
    assert prompted.block_tokens.shape == (2, 4, 32)
    torch.testing.assert_close(prompted(ENTRIES), plain(ENTRIES), atol=1e-6, rtol=0)


def test_each_block_has_tokens_of_its_own_and_all_of_them_matter():
    text = learning()
    before = text(ENTRIES).detach()
    tokens = text.block_tokens.detach().flatten(0, 1)
    assert len({tuple(row.tolist()) for row in tokens}) == 8
    for index in range(8):
        changed = copy.deepcopy(text)
        with torch.no_grad():
            # Not a constant, which the blocks' norms would take away.
            changed.block_tokens.flatten(0, 1)[index] += torch.linspace(-1, 1, 32)
        assert (changed(ENTRIES) - before).abs().amax(1).min() > 1e-3


class Wrapped(nn.Module):
    """An encoder as a part of a model."""

    def __init__(self, text: CLIPTextEncoder) -> None:
        super().__init__()
        self.text_encoder = text


@pytest.mark.parametrize(
    "load",
    [
        lambda model, path: DetectionCheckpointer(model).load(path),
        lambda model, path: FGASegCheckpointer(model, allow_partial=True).load(path),
        lambda model, path: model.load_state_dict(torch.load(path)["model"]),
    ],
    ids=["Detectron2", "ours", "torch, strict"],
)
def test_a_clip_that_is_loaded_later_sets_them_anew(tmp_path, load):
    path = str(tmp_path / "clip.pth")
    other = encoder(1)
    state = {f"text_encoder.{name}": tensor for name, tensor in other.state_dict().items()}
    torch.save({"model": state}, path)
    model = Wrapped(learning())
    load(model, path)
    torch.testing.assert_close(model.text_encoder(ENTRIES), other(ENTRIES), atol=1e-6, rtol=0)


def test_tokens_that_were_trained_come_back_with_their_tower(tmp_path):
    trained = Wrapped(learning())
    with torch.no_grad():
        trained.text_encoder.block_tokens += 1
    DetectionCheckpointer(trained, str(tmp_path)).save("model")
    model = Wrapped(learning(1))
    DetectionCheckpointer(model).load(str(tmp_path / "model.pth"))
    assert torch.equal(model.text_encoder.block_tokens, trained.text_encoder.block_tokens)


def test_a_copy_of_an_encoder_sets_its_own_anew_and_not_the_firsts():
    text, other = learning(), encoder(1)
    twin, before = copy.deepcopy(text), text.block_tokens.clone()
    assert not twin.load_state_dict(other.state_dict()).missing_keys
    torch.testing.assert_close(twin(ENTRIES), other(ENTRIES), atol=1e-6, rtol=0)
    assert torch.equal(text.block_tokens, before)


def test_weights_of_another_part_leave_them():
    text = learning()
    with torch.no_grad():
        text.block_tokens += 1
    kept = text.block_tokens.clone()
    found = text.load_state_dict({}, strict=False)
    assert "block_tokens" in found.missing_keys and torch.equal(text.block_tokens, kept)


def test_both_caches_know_them(tmp_path):
    words = tuple((f"thing {number}",) for number in range(40))
    text = learning(disk_cache=TextCache(2**20, tmp_path)).eval()
    with torch.no_grad():
        first = text(words)
        assert text(words) is first and len(list(tmp_path.iterdir())) == 1
        text.block_tokens += torch.linspace(-1, 1, 32)
        second = text(words)
    assert (first - second).abs().amax(1).min() > 1e-3 and len(list(tmp_path.iterdir())) == 2
    with torch.no_grad():
        fresh = copy.deepcopy(text)
        torch.testing.assert_close(fresh(words), second, atol=0, rtol=0)
    assert len(list(tmp_path.iterdir())) == 2


def test_they_train_whatever_the_tower_does():
    text = learning()
    for mode in ("frozen", "scratch"):
        text.train_only(mode)
        assert text.block_tokens.requires_grad
    text.train_only("frozen")
    text.train()(ENTRIES).sum().backward()
    assert text.block_tokens.grad.abs().amax((1, 2)).min() > 0
    assert all(p.grad is None for p in text.clip.parameters())


def test_recomputed_activations_give_the_same_gradients():
    grads = []
    for recompute in (False, True):
        text = learning(gradient_checkpointing=recompute)
        text.train_only("frozen")
        text.train()(ENTRIES)[:, :7].sum().backward()
        grads.append(text.block_tokens.grad)
    torch.testing.assert_close(*grads)


def without_a_mask() -> CLIPTextEncoder:
    """A tower whose tokens see those behind them."""
    text = encoder()
    text.clip.attn_mask = None
    return text


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (without_a_mask, "that is not open_clip's causal one"),
        (lambda: encoder(templates=("a photo of a {}", "a drawing of a {}")), "2 prompt templates"),
        (lambda: encoder(templates=("a photo: {}",)), "the template 'a photo: {}' with 3"),
        (lambda: encoder(templates=("{}, in a photo of a scene",)), "with 0"),
    ],
    ids=["no causal mask", "two templates", "short template", "name first"],
)
def test_what_does_not_suit_them_is_said_in_one_line(make, got):
    with pytest.raises(ValueError, match="set PROMPTS to vision") as caught:
        make().learn_prompts()
    assert got in str(caught.value) and "\n" not in str(caught.value)
