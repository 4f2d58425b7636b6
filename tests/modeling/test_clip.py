"""CLIP's towers: loading, sizes, what trains, the cache of text embeddings."""

import json

import open_clip
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2.modeling.text.templates import resolve_templates
from fgaseg_d2.modeling.towers.clip_vit import CLIPViT
from fgaseg_d2.modeling.towers.loading import PretrainedWeightsError, load_clip, split_attention
from tests.conftest import ROOT, build, build_small

SMALL_CLIP = str(ROOT / "tests/data/clip/Small-ViT-8.json")


def test_towers_compute_what_open_clip_computes():
    """With attention in the last block back in place, the tower is open_clip's own."""
    open_clip.add_model_config(SMALL_CLIP)
    torch.manual_seed(0)
    clip = open_clip.create_model("Small-ViT-8").eval()
    images, tokens = torch.randn(2, 3, 64, 64), open_clip.get_tokenizer("Small-ViT-8")(["a", "b c"])
    with torch.no_grad():
        outputs = clip.visual.forward_intermediates(images, indices=[0, 1])
        expected_text = clip.encode_text(tokens, normalize=True)
        split_attention(clip)
        maps = CLIPViT(clip.visual, levels={"guidance_early": 0, "guidance_late": 1})(images)
        torch.testing.assert_close(clip.encode_text(tokens, normalize=True), expected_text)
    for name, expected in zip(("early", "late"), outputs["image_intermediates"], strict=True):
        torch.testing.assert_close(maps[f"guidance_{name}"], expected, atol=1e-5, rtol=1e-5)


def test_a_model_shares_out_one_clip_and_builds_no_second():
    """Of the same random numbers, the first CLIP has its two towers; a second would have others."""
    torch.manual_seed(0)
    clip = load_clip(SMALL_CLIP, "").state_dict()
    model = build_small(seed=0)
    own = model.backbone.state_dict() | model.text_encoder.clip.state_dict()
    shared = own.keys() & clip.keys()
    assert {"visual.conv1.weight", "token_embedding.weight", "ln_final.weight"} <= shared
    assert [name for name in shared if not torch.equal(own[name], clip[name])] == []


@pytest.mark.parametrize("name", ["ViT-L-14-336-quickgelu", "ViT-H-14", "ViT-bigG-14"])
def test_sizes_are_read_from_the_model(name, tmp_path):
    """The real widths, heads and patches, three blocks deep so that the test stays small."""
    cfg = open_clip.get_model_config(name)
    cfg["vision_cfg"]["layers"], cfg["text_cfg"]["layers"] = 3, 1
    path = tmp_path / f"shallow-{name}.json"
    path.write_text(json.dumps(cfg))
    size = ("MODEL.CLIP.IMAGE_SIZE", [56, 56], "MODEL.CLIP.GUIDANCE_BLOCKS", [0, 1])
    model = build("configs/fgaseg/vitl14_336.yaml", "MODEL.CLIP.NAME", str(path),
                  "MODEL.CLIP.PRETRAINED", "", *size)  # fmt: skip
    shapes = model.backbone.output_shape()
    assert shapes["dense"].channels == cfg["embed_dim"]
    assert shapes["guidance_late"].channels == cfg["vision_cfg"]["width"]
    with torch.no_grad():
        (result,) = model([{"image": torch.rand(3, 30, 40), "vocabulary": "cat,dog"}])
    assert result["sem_seg"].shape == (2, 30, 40)


def trainable(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def clip_names(model, pattern):
    clip = {id(p) for p in model.clip_parameters()}
    return {n for n, p in model.named_parameters() if id(p) in clip and pattern(n)}


@pytest.mark.parametrize("mode", ["frozen", "prompt", "attention", "full", "scratch"])
def test_exactly_the_right_parameters_train(mode):
    prompts = ("MODEL.CLIP.PROMPT_LENGTH", 2, "MODEL.CLIP.PROMPT_DEPTH", 3)
    model = build_small("MODEL.CLIP.FINETUNE", mode, *(prompts if mode == "prompt" else ()))
    unused = tuple(f"backbone.visual.transformer.resblocks.3.attn.{x}_proj." for x in "qk")
    rules = {
        "frozen": lambda n: False,
        "prompt": lambda n: n == "backbone.prompt_tokens",
        "attention": lambda n: n.endswith(("attn.q_proj.weight", "attn.v_proj.weight")),
        "full": lambda n: ".resblocks." in n,
        "scratch": lambda n: True,
    }
    expected = clip_names(model, lambda n: rules[mode](n) and not n.startswith(unused))
    head = {n for n, _ in model.named_parameters() if n.startswith("sem_seg_head.")}
    assert trainable(model) == expected | head


def test_everything_that_trains_gets_a_gradient():
    model = build_small("MODEL.CLIP.FINETUNE", "scratch", "MODEL.FGASEG.FAST.ENABLED", True).train()
    inputs = [{
        "image": torch.rand(3, 64, 64) * 255,
        "sem_seg": torch.randint(0, 2, (64, 64)),
        "vocabulary": "cat,dog",
    }] * 2  # fmt: skip
    sum(model(inputs).values()).backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_a_frozen_gamma_does_not_train():
    model = build_small("MODEL.FGASEG.P2T.GAMMA_TRAINABLE", False, "MODEL.FGASEG.P2T.GAMMA", 0.5)
    assert "sem_seg_head.p2tformer.gamma" not in trainable(model)
    assert (model.sem_seg_head.p2tformer.gamma == 0.5).all()


def test_gradient_checkpointing_changes_no_gradient():
    gradients = []
    for enabled in (False, True):
        model = build_small("MODEL.CLIP.GRADIENT_CHECKPOINTING", enabled).train()
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
        target = torch.zeros(64, 64, dtype=torch.long)
        inputs = [{"image": image, "sem_seg": target, "vocabulary": "cat,dog"}]
        sum(model(inputs).values()).backward()
        gradients.append(model.backbone.visual.transformer.resblocks[0].attn.q_proj.weight.grad)
    torch.testing.assert_close(*gradients)


def test_text_embeddings_are_cached_until_the_weights_change():
    encoder = build_small().text_encoder
    calls = []
    encoder.register_module("clip", encoder.clip)
    encoder.clip.transformer.register_forward_hook(lambda *_: calls.append(1))
    entries = (("cat",), ("dog",))
    with torch.no_grad():
        first = encoder(entries)
        assert torch.equal(encoder(entries), first)
        assert len(calls) == 1
        encoder((("cat",), ("fish",)))
        assert len(calls) == 2
        encoder.clip.text_projection.add_(torch.randn_like(encoder.clip.text_projection))
        changed = encoder(entries)
        assert len(calls) == 3
        assert not torch.allclose(changed, first)
        state = {k: v + 0.1 for k, v in encoder.state_dict().items() if v.is_floating_point()}
        encoder.load_state_dict(state, strict=False)
        assert not torch.allclose(encoder(entries), changed)


def test_cached_embeddings_of_inference_mode_serve_training():
    model = build_small("MODEL.CLIP.FINETUNE", "frozen")
    inputs = [{"image": torch.rand(3, 64, 64) * 255, "vocabulary": "cat,dog"}]
    with torch.inference_mode():
        model(inputs)
    sum(model.sem_seg_head(
        model.backbone(torch.randn(1, 3, 64, 64)), model.text_encoder((("cat",), ("dog",)))
    )["logits"].flatten()).backward()  # fmt: skip


def test_trained_text_keeps_its_gradient():
    encoder = build_small("MODEL.CLIP.FINETUNE", "attention").text_encoder
    with torch.no_grad():
        encoder((("cat",),))
    assert encoder((("cat",),)).requires_grad


def test_synonyms_and_templates_are_averaged_on_the_sphere():
    encoder = build_small().text_encoder
    with torch.no_grad():
        one, other = encoder((("cat",), ("big dog",)))
        (mean,) = encoder((("cat", "big dog"),))
        torch.testing.assert_close(mean, F.normalize(one + other, dim=0))
        encoder.templates = ("a {}.", "the {}!")
        encoder.train(False)
        (both,) = encoder((("cat",),))
        parts = []
        for template in ("a {}.", "the {}!"):
            encoder.templates = (template,)
            encoder.train(False)
            parts.append(encoder((("cat",),))[0])
    torch.testing.assert_close(both, F.normalize(sum(parts), dim=0))


def test_templates(tmp_path):
    assert resolve_templates("single") == ("A photo of a {} in the scene",)
    imagenet = resolve_templates("imagenet")
    assert len(imagenet) == 80
    assert all(t.count("{}") == 1 for t in imagenet)
    path = tmp_path / "templates.txt"
    path.write_text("a {}\n\na big {}\n")
    assert resolve_templates(str(path)) == ("a {}", "a big {}")
    with pytest.raises(ValueError, match="one '{}'"):
        resolve_templates("a {} and {}")
    with pytest.raises(FileNotFoundError, match="expected `templates`"):
        resolve_templates("nothing.txt")


def test_names_and_weights_that_cannot_be_had(tmp_path):
    with pytest.raises(ValueError, match="did you mean: .*ViT-B-16"):
        load_clip("ViT-B16", "")
    with pytest.raises(FileNotFoundError, match="not a file"):
        load_clip("no/such.json", "")
    with pytest.raises(FileNotFoundError, match="not a file"):
        load_clip(SMALL_CLIP, "no/such.pt")
    with pytest.raises(ValueError, match="choose one of"):
        load_clip("ViT-B-16", "no_such_tag")
    with pytest.raises(ValueError, match="ViT-B-16-quickgelu"):
        load_clip("ViT-B-16", "openai")
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"not a checkpoint")
    with pytest.raises(PretrainedWeightsError, match="Set `name` and `pretrained` to fit"):
        load_clip(SMALL_CLIP, str(damaged))


def test_a_tower_that_is_no_vision_transformer_is_refused():
    with pytest.raises(ValueError, match="plain vision transformer"):
        CLIPViT(load_clip("RN50", "").visual)


def test_pretrained_weights_come_from_a_file(tmp_path):
    torch.manual_seed(3)
    open_clip.add_model_config(SMALL_CLIP)
    clip = open_clip.create_model("Small-ViT-8")
    path = tmp_path / "clip.pt"
    torch.save(clip.state_dict(), path)
    model = build_small("MODEL.CLIP.PRETRAINED", str(path))
    assert torch.equal(model.backbone.visual.conv1.weight, clip.visual.conv1.weight)
    assert torch.equal(model.text_encoder.clip.token_embedding.weight, clip.token_embedding.weight)


def test_openais_own_file_format(tmp_path):
    """OpenAI's downloads are TorchScript archives in half precision, with settings as tensors."""
    open_clip.add_model_config(SMALL_CLIP)
    torch.manual_seed(3)
    clip = open_clip.create_model("Small-ViT-8").eval()
    clip.register_buffer("input_resolution", torch.tensor(64))
    expected = {n: t.half().float() for n, t in clip.state_dict().items()}
    path = tmp_path / "archive.pt"
    example = (torch.zeros(1, 3, 64, 64), torch.zeros(1, 16, dtype=torch.long))
    torch.jit.trace(clip.half().float(), example, check_trace=False).save(path)
    loaded = load_clip(SMALL_CLIP, str(path))
    assert torch.equal(loaded.visual.proj, expected["visual.proj"])
    assert torch.equal(loaded.token_embedding.weight, expected["token_embedding.weight"])


def test_clip_is_loaded_beside_a_partial_checkpoint(tmp_path):
    open_clip.add_model_config(SMALL_CLIP)
    clip = open_clip.create_model("Small-ViT-8")
    path = tmp_path / "clip.pt"
    torch.save(clip.state_dict(), path)
    model = build_small(
        *("MODEL.CLIP.PRETRAINED", str(path), "MODEL.WEIGHTS", "head.pth"),
        *("MODEL.WEIGHTS_PARTIAL", True),
    )
    assert torch.equal(model.backbone.visual.conv1.weight, clip.visual.conv1.weight)


def test_k_stays_as_it_was_when_q_and_v_train():
    """The reason for splitting them: weight decay moves every parameter that an optimiser holds."""
    model = build_small("MODEL.CLIP.FINETUNE", "attention").train()
    attention = model.backbone.visual.transformer.resblocks[0].attn
    before = {name: p.clone() for name, p in attention.named_parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.5)
    item = {"image": torch.rand(3, 64, 64) * 255, "sem_seg": torch.zeros(64, 64).long()}
    sum(model([item | {"vocabulary": "cat,dog"}]).values()).backward()
    optimizer.step()
    changed = {name for name, p in attention.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"q_proj.weight", "v_proj.weight"}


def test_an_oblong_clip_keeps_its_position_embedding(tmp_path):
    cfg = json.loads((ROOT / "tests/data/clip/Small-ViT-8.json").read_text())
    cfg["vision_cfg"]["image_size"] = [48, 80]
    path = tmp_path / "oblong.json"
    path.write_text(json.dumps(cfg))
    model = build_small("MODEL.CLIP.NAME", str(path), "MODEL.CLIP.IMAGE_SIZE", [48, 80])
    with torch.no_grad():
        assert model.backbone(torch.zeros(1, 3, 48, 80))["dense"].shape == (1, 32, 6, 10)
        assert model.backbone(torch.zeros(1, 3, 64, 64))["dense"].shape == (1, 32, 8, 8)


def test_text_towers_of_other_libraries_are_refused():
    with pytest.raises(ValueError, match="open_clip"):
        load_clip("roberta-ViT-B-32", "")


def test_long_prompts_are_said_to_be_cut(caplog):
    encoder = build_small().text_encoder
    with torch.no_grad():
        encoder((("a b c d e f g h i j k l m n o p q",),))
    assert "may have been cut ('a b c d e f g" in caplog.text


@pytest.mark.parametrize(
    "names",
    [
        ("a b c d e f g h i j k l m n o p q with a cat", "a b c d e f g h i j k l m n o p q"),
        ("\uff23\uff21\uff34", "cat"),  # full-width letters
        ("salt &amp; pepper", "salt & pepper"),
    ],
)
def test_names_that_clip_cannot_tell_apart_are_said(caplog, names):
    encoder = build_small().text_encoder
    with torch.no_grad():
        first, second, _ = encoder((*((name,) for name in names), ("boat",)))
    torch.testing.assert_close(first, second)
    assert "2 names are one and the same to CLIP" in caplog.text
    caplog.clear()
    with torch.no_grad():
        encoder((("cat",), ("dog",)))
    assert not caplog.text


def test_pretrained_weights_are_not_fetched_when_a_checkpoint_brings_them():
    build_small("MODEL.CLIP.PRETRAINED", "no/such.pt", "MODEL.WEIGHTS", "model.pth")
