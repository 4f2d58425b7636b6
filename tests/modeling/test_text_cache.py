"""Text embeddings on disk: found again, never wrong, never more than allowed."""

import json
import os

import pytest
import safetensors.torch
import torch

from fgaseg_d2.checkpoint.kept_tensors import fingerprint
from fgaseg_d2.modeling.text.cache import TextCache
from fgaseg_d2.modeling.text.prompts import encode_prompts
from fgaseg_d2.modeling.text.single_texts import SingleTexts
from tests.conftest import ROOT, build_small

WORDS = tuple((f"word {number}",) for number in range(40))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    return tmp_path / "fgaseg_d2" / "text"


def encoder(*opts, seed=0):
    return build_small("MODEL.CLIP.TEXT_CACHE_SIZE", 1, *opts, seed=seed).text_encoder


def embed(encoder, entries=WORDS):
    with torch.no_grad():
        return encoder(entries)


def refuse(*_):
    raise AssertionError("encoded again")


def test_a_second_run_reads_what_the_first_computed(folder, monkeypatch):
    expected = embed(encoder())
    assert len(list(folder.iterdir())) == 1
    second = encoder()
    monkeypatch.setattr(second, "_encode", refuse)
    assert torch.equal(embed(second), expected)


@pytest.mark.parametrize("change", ["weights", "words", "templates"])
def test_whatever_decides_the_embeddings_is_part_of_the_key(folder, change):
    first = embed(encoder())
    opts = ("MODEL.FGASEG.PROMPT_TEMPLATES", "a drawing of a {}") if change == "templates" else ()
    other = encoder(*opts, seed=1 if change == "weights" else 0)
    words = tuple((f"other {n}",) for n in range(40)) if change == "words" else WORDS
    assert not torch.allclose(embed(other, words), first)
    assert len(list(folder.iterdir())) == 2


def test_towers_with_the_same_weights_but_another_activation_share_nothing(folder, tmp_path):
    first = embed(encoder())
    clip = json.loads((ROOT / "tests/data/clip/Small-ViT-8.json").read_text())
    clip["quick_gelu"] = not clip.get("quick_gelu", False)
    path = tmp_path / "Small-ViT-8-other.json"
    path.write_text(json.dumps(clip))
    other = encoder("MODEL.CLIP.NAME", str(path))
    assert torch.equal(other.clip.text_projection, encoder().clip.text_projection)
    assert not torch.equal(embed(other), first)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"not what it should be", None])
def test_a_damaged_file_is_ignored_and_replaced(folder, caplog, content):
    expected = embed(encoder())
    (path,) = folder.iterdir()
    if content is None:
        safetensors.torch.save_file({"something": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    assert torch.equal(embed(encoder()), expected)
    assert "Ignored damaged text embeddings" in caplog.text
    assert torch.equal(TextCache(2**20).get(path.stem), expected)


def test_a_folder_that_cannot_be_written_costs_a_warning_only(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cache = TextCache(2**20, blocked / "folder")
    cache.put("ab", torch.zeros(3))
    assert "Could not keep text embeddings" in caplog.text
    assert cache.get("ab") is None


def test_the_files_not_used_for_longest_go_first(tmp_path):
    cache = TextCache(3000, tmp_path)
    for number in range(3):
        cache.put(f"{number}", torch.full((250,), float(number)))
        # Files of one moment have no order.
        for path in tmp_path.iterdir():
            stat = path.stat()
            past = stat.st_mtime - 10
            os.utime(path, (past, past))
        if number == 1:
            assert cache.get("0") is not None
    assert cache.get("1") is None
    assert cache.get("0")[0] == 0 and cache.get("2")[0] == 2
    cache.put("large", torch.zeros(1000))
    assert cache.get("large") is None and cache.get("2") is not None


def test_nothing_is_kept_where_it_does_not_pay_or_is_switched_off(folder):
    embed(encoder(), WORDS[:5])
    embed(encoder("MODEL.CLIP.TEXT_CACHE_SIZE", 0))
    training = encoder().train()
    embed(training)
    assert not folder.exists()


def test_a_fingerprint_tells_shapes_and_bytes_apart():
    values = torch.arange(6.0)
    same = fingerprint({"a": values}, 1)
    assert fingerprint({"a": values.clone()}, 1) == same
    others = [
        fingerprint({"a": values}, 2),
        fingerprint({"b": values}, 1),
        fingerprint({"a": values.view(2, 3)}, 1),
        fingerprint({"a": values + 1e-6}, 1),
        fingerprint({"a": values.double()}, 1),
    ]
    assert len({same, *others}) == 6


@pytest.mark.parametrize("batch_size", [3, 100])
def test_prompts_without_their_padding_give_the_same(batch_size):
    encoder = build_small("MODEL.CLIP.FINETUNE", "scratch").text_encoder
    prompts = ["cat", "a very long name of a thing", "dog house", "sea", "a b c d e f g h i j k l"]
    tokens = encoder.tokenizer(prompts)
    expected = encoder.clip.encode_text(tokens, normalize=True)
    actual = encode_prompts(encoder.clip, tokens, batch_size)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    factor = torch.randn_like(expected)
    parameters = list(encoder.parameters())
    for ours, theirs in zip(
        torch.autograd.grad((actual * factor).sum(), parameters),
        torch.autograd.grad((expected * factor).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("change", ["pool_type", "mask"])
def test_towers_that_see_behind_the_end_get_all_tokens(change):
    clip = build_small().text_encoder.clip
    if change == "mask":
        clip.attn_mask = None
    else:
        clip.text_pool_type = "last"
    tokens = build_small().text_encoder.tokenizer(["cat", "two dogs"])
    with torch.no_grad():
        expected = clip.encode_text(tokens, normalize=True)
        assert torch.equal(encode_prompts(clip, tokens, 10), expected)


def test_single_texts_are_encoded_once_until_the_weights_change():
    model, texts = build_small("MODEL.CLIP.FINETUNE", "frozen").text_encoder, SingleTexts(2)
    asked = []
    model.register_forward_pre_hook(lambda _, inputs: asked.append([e for (e,) in inputs[0]]))
    first = texts(model, ["cat", "dog", "cat"])
    torch.testing.assert_close(first, embed(model, (("cat",), ("dog",), ("cat",))))
    asked.clear()
    assert torch.equal(texts(model, ["dog", "cat"]), first[[1, 0]])
    texts(model, ["cat", "sky"])
    texts(model, ["cat", "dog"])
    assert asked == [["sky"], ["dog"]], "two are kept, those used last"
    with torch.no_grad():
        model.clip.text_projection.add_(torch.randn_like(model.clip.text_projection))
    assert not torch.allclose(texts(model, ["cat"]), first[:1])
    assert asked[2:] == [["cat"]]
    with torch.autocast("cpu", torch.bfloat16):
        texts(model, ["cat"])
    assert asked[3:] == [["cat"]]
