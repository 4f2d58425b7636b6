"""Tokenizers and text towers of Hugging Face: from a folder, or one line."""

import json
from pathlib import Path

import open_clip
import pytest
import torch

from fgaseg_d2.modeling.text.encoder import CLIPTextEncoder
from fgaseg_d2.modeling.towers import build_tokenizer, load_clip
from tests.towers import FAMILIES, shrunk

SENTENCE = "A photo of a {} in the scene"


@pytest.fixture
def siglip(tmp_path):
    """A small SigLIP that names a tokenizer which is nowhere."""
    name, vision = FAMILIES["siglip"]
    cfg = json.loads(Path(shrunk(name, **vision)).read_text())
    cfg["text_cfg"] |= {"hf_tokenizer_name": str(tmp_path / "nowhere"), "vocab_size": 40}
    path = tmp_path / "small-with-tokenizer.json"
    path.write_text(json.dumps(cfg))
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """The files of a tokenizer that knows few words, padded with 0 and ended with 1."""
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=special)
    tokenizer.train_from_iterator([SENTENCE.format("cat dog")], trainer)
    end = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.post_processor = end
    names = dict(zip(("pad_token", "eos_token", "unk_token"), special))
    path = tmp_path / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(path)
    return path


def test_a_tokenizer_that_cannot_be_had_is_one_line(siglip, tmp_path):
    with pytest.raises(ValueError, match="nowhere of 'small-with-tokenizer'") as caught:
        build_tokenizer(siglip)
    assert "\n" not in str(caught.value)
    assert "pip install" in str(caught.value) or "set `tokenizer` to a folder" in str(caught.value)
    with pytest.raises(FileNotFoundError, match="`tokenizer` to be a folder with"):
        build_tokenizer(siglip, str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_tokenizer_comes_from_a_folder(siglip, folder, caplog):
    tokenizer = build_tokenizer(siglip, str(folder))
    tokens = tokenizer(["a cat"])
    assert tokens.shape == (1, 64) and tokens[0, 3:].tolist() == [0] * 61
    encoder = CLIPTextEncoder(load_clip(siglip, ""), tokenizer, (SENTENCE,)).eval()
    with torch.no_grad():
        embeddings = encoder((("cat",), ("dog",)))
        assert "may have been cut" not in caplog.text
        encoder((("cat " * 70,), ("sky",), ("boat",)))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))
    assert "1 of 3 names fill CLIP's 64 tokens" in caplog.text
    # It knows neither.
    assert "2 names are one and the same to CLIP ('sky', 'boat')" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["frozen", "attention", "full"])
def test_a_text_tower_of_transformers(folder, tmp_path, mode):
    from transformers import RobertaConfig

    RobertaConfig(
        **{"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 64, "max_position_embeddings": 80, "pad_token_id": 0},
    ).save_pretrained(folder)
    cfg = open_clip.get_model_config("roberta-ViT-B-32")
    cfg["vision_cfg"].update(layers=3, width=64, head_width=32)
    cfg["text_cfg"].update(hf_model_name=str(folder), hf_tokenizer_name=str(folder))
    path = tmp_path / "small-roberta.json"
    path.write_text(json.dumps(cfg | {"embed_dim": 32}))
    tokenizer = build_tokenizer(str(path))
    encoder = CLIPTextEncoder(load_clip(str(path), ""), tokenizer, (SENTENCE,))
    encoder.train_only(mode)
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    if mode == "attention":
        assert {name.split(".")[-2] for name in trained} == {"query", "value"}
        assert len(trained) == 4
    prompts = tokenizer([SENTENCE.format("cat"), SENTENCE.format("dog")])
    encoder.eval()
    expected = encoder.clip.encode_text(prompts, normalize=True)
    actual = encoder((("cat",), ("dog",)))
    torch.testing.assert_close(actual, expected)
    if mode != "frozen":
        actual.square().sum().backward()
        assert [name for name, p in trained.items() if p.grad is None] == []
