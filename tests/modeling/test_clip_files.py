"""CLIP's weights from files: what surrounds them, and the same checks as for open_clip's tags."""

import argparse
import json
import logging

import open_clip
import pytest
import safetensors.torch
import torch

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.modeling.towers import normalisation
from fgaseg_d2.modeling.towers.loading import PretrainedWeightsError, load_clip
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from tests.conftest import ROOT, build_small, config
from tests.servers import serving

SMALL_CLIP = str(ROOT / "tests/data/clip/Small-ViT-8.json")
SMALL = json.loads((ROOT / "tests/data/clip/Small-ViT-8.json").read_text())
OPENAI_SETTINGS = {
    "input_resolution": torch.tensor(64),
    "context_length": torch.tensor(16),
    "vocab_size": torch.tensor(49408),
}


def small_clip(**changes):
    """A CLIP of open_clip, with other settings than usual."""
    torch.manual_seed(3)
    return open_clip.CLIP(**{**SMALL, **changes}).eval()


@pytest.fixture(scope="module")
def clip():
    return small_clip()


@pytest.fixture(scope="module")
def quick_json(tmp_path_factory):
    """The same model with QuickGELU."""
    path = tmp_path_factory.mktemp("clip") / "Small-ViT-8-quickgelu.json"
    path.write_text(json.dumps({**SMALL, "quick_gelu": True}))
    return str(path)


def traced(clip, path):
    """OpenAI's own format."""
    for name, value in OPENAI_SETTINGS.items():
        # Some are plain attributes of open_clip's models.
        vars(clip).pop(name, None)
        clip.register_buffer(name, value)
    example = (torch.zeros(1, 3, 64, 64), torch.zeros(1, 16, dtype=torch.long))
    torch.jit.trace(clip, example, check_trace=False).save(path)
    return str(path)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """TorchScript archives of the small model, without and with QuickGELU."""
    folder = tmp_path_factory.mktemp("archives")
    return [traced(small_clip(quick_gelu=quick), folder / f"{quick}.pt") for quick in (False, True)]


def refused(message, *arguments, kind=(ValueError, PretrainedWeightsError)):
    with pytest.raises(kind, match=message) as caught:
        load_clip(*arguments)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 400 and "weights_only" not in text
    return text


WRAPPED = {
    "open_clip's training": lambda s: {
        "epoch": 3, "name": "x", "state_dict": {f"module.{n}": t for n, t in s.items()},
        "optimizer": {"state": {}, "param_groups": []},
    },
    "compiled": lambda s: {f"_orig_mod.{n}": t for n, t in s.items()},
    "Lightning": lambda s: {
        "state_dict": {f"model.clip.{n}": t for n, t in s.items()} | {"loss.scale": torch.ones(1)},
        "hyper_parameters": argparse.Namespace(lr=0.1),
    },
    "half precision, profiled": lambda s: {n: t.half() for n, t in s.items()} | {
        "total_ops": torch.zeros(1), "visual.total_ops": torch.zeros(1, dtype=torch.float64)},
    "without temperature": lambda s: {n: t for n, t in s.items() if n != "logit_scale"},
    "temperature of another shape": lambda s: s | {"logit_scale": s["logit_scale"].view(1)},
}  # fmt: skip


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_weights_are_found(wrapper, clip, tmp_path):
    torch.save(WRAPPED[wrapper](clip.state_dict()), tmp_path / "clip.safetensors")
    loaded = load_clip(SMALL_CLIP, str(tmp_path / "clip.safetensors"))
    wanted = clip.visual.proj.half().float() if "half" in wrapper else clip.visual.proj
    assert torch.equal(loaded.visual.proj, wanted)


def test_the_first_bytes_say_the_format(clip, tmp_path):
    safetensors.torch.save_file(clip.state_dict(), tmp_path / "clip.pt")
    loaded = load_clip(SMALL_CLIP, str(tmp_path / "clip.pt"))
    assert torch.equal(loaded.visual.proj, clip.visual.proj)


def test_weights_come_from_an_address(clip, tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    (tmp_path / "text.pt").write_text("<html>")
    with serving(tmp_path) as address:
        loaded = load_clip(SMALL_CLIP, f"{address}/clip.pt")
        assert torch.equal(loaded.visual.proj, clip.visual.proj)
        refused("a web page", SMALL_CLIP, f"{address}/text.pt")
    assert list((tmp_path / "cache").rglob("*.damaged"))
    for url in ("s3://a/clip.pt", "gs://a/clip.pt", "file:///clip.pt"):
        refused("`pretrained` .*is not fetched", SMALL_CLIP, url)
    refused("the address of a file, got hf://a/clip.pt", SMALL_CLIP, "hf://a/clip.pt")


class _Object:
    pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}, "model": _Object()}, "other objects"),
        ({"layer1.weight": torch.ones(2)}, r"no tensors of a CLIP \(layer1"),
        ({"epoch": 3}, "no tensors of a CLIP"),
        ([1, 2], "no tensors of a CLIP"),
        ({"visual.proj": torch.ones(2, 2)}, "it lacks"),
        ({"visual.positional_embedding": torch.ones(7)}, "no tables of a CLIP"),
        ({"visual.positional_embedding": torch.ones(9, 9).long()}, "no tables|it lacks"),
    ],
)
def test_what_is_no_clip_is_one_short_line(content, message, tmp_path):
    folder = tmp_path / ("long" * 40) / ("name" * 40)
    folder.mkdir(parents=True)
    torch.save(content, folder / "clip.pt")
    refused(message, SMALL_CLIP, str(folder / "clip.pt"), kind=PretrainedWeightsError)


@pytest.mark.parametrize("archive", [False, True])
def test_a_part_of_a_larger_model_is_refused(archive, tmp_path):
    """All that a shallower model needs is in a deeper one."""
    deeper = small_clip(vision_cfg={**SMALL["vision_cfg"], "layers": 5})
    path = str(tmp_path / "clip.pt")
    if archive:
        traced(deeper, path)
    else:
        torch.save(deeper.state_dict(), path)
    refused(r"tensors that the model lacks \(visual.transformer.resblocks.4", SMALL_CLIP, path)


def test_a_segmenter_is_no_clip(tmp_path):
    torch.save(build_small().state_dict(), tmp_path / "model.pth")
    refused("it lacks", SMALL_CLIP, str(tmp_path / "model.pth"))


def test_an_archive_says_its_activation(archives, quick_json):
    plain, quick = archives
    load_clip(SMALL_CLIP, plain)
    load_clip(quick_json, quick)
    message = refused("another activation", SMALL_CLIP, quick, kind=ValueError)
    assert '"quick_gelu" to true' in message or "'Small-ViT-8-quickgelu'" in message
    refused("another activation .*'Small-ViT-8'", quick_json, plain, kind=ValueError)


def test_openais_weights_have_quick_gelu_in_every_format(clip, quick_json, tmp_path):
    """The settings that OpenAI's archives hold as tensors stay in a state dict made of one."""
    state = clip.state_dict() | OPENAI_SETTINGS
    torch.save({"state_dict": state}, tmp_path / "openai.pt")
    safetensors.torch.save_file(state, tmp_path / "openai.safetensors")
    for name in ("openai.pt", "openai.safetensors"):
        load_clip(quick_json, str(tmp_path / name))
        refused("another activation", SMALL_CLIP, str(tmp_path / name), kind=ValueError)


def test_file_and_tag_are_refused_alike(archives):
    tag = refused("another activation", "ViT-B-16", "openai", kind=ValueError)
    assert tag == (
        "the weights 'openai' were trained with another activation than 'ViT-B-16' has; set "
        "`name` to 'ViT-B-16-quickgelu'."
    )


OWN = [
    *(("ViT-L-14-CLIPA", "datacomp1b"), ("ViT-L-14-CLIPA-336", "datacomp1b")),
    *(("ViT-H-14-CLIPA", "datacomp1b"), ("ViT-H-14-CLIPA-336", "datacomp1b")),
    *(("ViT-H-14-CLIPA-336", "laion2b"), ("ViT-bigG-14-CLIPA", "datacomp1b")),
    ("ViT-bigG-14-CLIPA-336", "datacomp1b"),
]
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
HALF = {"mean": [127.5] * 3, "std": [127.5] * 3}


def statistics(*opts):
    values = normalisation.from_config(config("tests/data/small.yaml", *opts))
    return {key: [round(x, 4) for x in values[f"pixel_{key}"]] for key in ("mean", "std")}


@pytest.mark.parametrize(
    ("name", "tag", "expected"),
    [("ViT-L-14", "laion2b_s32b_b82k", HALF), *((*pair, IMAGENET) for pair in OWN)],
)
@pytest.mark.parametrize("weights", ["", "trained.pth"])
def test_a_tag_brings_its_normalisation(name, tag, expected, weights):
    """Also for weights that were trained from it."""
    opts = ("MODEL.CLIP.NAME", name, "MODEL.CLIP.PRETRAINED", tag, "MODEL.WEIGHTS", weights)
    assert statistics(*opts) == expected
    turned = {key: values[::-1] for key, values in expected.items()}
    usual = config("tests/data/small.yaml").MODEL
    backwards = ("MODEL.PIXEL_MEAN", usual.PIXEL_MEAN[::-1], "MODEL.PIXEL_STD",
                 usual.PIXEL_STD[::-1], "INPUT.FORMAT", "BGR")  # fmt: skip
    assert statistics(*opts, *backwards) == turned


def test_values_of_ones_own_count_and_the_conflict_is_told(caplog):
    opts = ("MODEL.CLIP.NAME", "ViT-L-14", "MODEL.CLIP.PRETRAINED", "laion2b_s32b_b82k")
    with caplog.at_level(logging.WARNING, logger="fgaseg_d2"):
        found = statistics(*opts, "MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0])
    assert found == {"mean": [1, 2, 3], "std": [127.5] * 3}
    assert "PIXEL_MEAN is [1.0, 2.0, 3.0], but the weights 'laion2b_s32b_b82k'" in caplog.text


@pytest.mark.parametrize("tag", ["openai", "", "datacomp_xl_s13b_b90k"])
def test_the_usual_normalisation_stays_to_the_last_digit(tag):
    cfg = config(
        "tests/data/small.yaml", "MODEL.CLIP.NAME", "ViT-L-14", "MODEL.CLIP.PRETRAINED", tag
    )
    found = normalisation.from_config(cfg)
    assert found == {"pixel_mean": cfg.MODEL.PIXEL_MEAN, "pixel_std": cfg.MODEL.PIXEL_STD}


@pytest.mark.parametrize("method", ["FGASeg", "CLIPPretraining"])
def test_a_file_brings_what_was_published_with_it(method, clip, tmp_path):
    """open_clip's repositories hold a configuration beside the weights."""
    torch.save(clip.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    published = {"preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 0.5]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(published))
    model = build_small(
        *("MODEL.CLIP.PRETRAINED", str(tmp_path / "open_clip_pytorch_model.bin")),
        *("MODEL.META_ARCHITECTURE", method),
    )
    assert model.pixel_mean.flatten().tolist() == [127.5] * 3
    assert model.pixel_std.flatten().tolist() == [63.75, 127.5, 127.5]


@pytest.mark.parametrize("text", ["", "{}", '{"preprocess_cfg": {"mean": [1], "std": "x"}}', "[[["])
def test_another_file_of_that_name_does_not_matter(text, clip, tmp_path):
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    (tmp_path / "open_clip_config.json").write_text(text)
    assert statistics("MODEL.CLIP.PRETRAINED", str(tmp_path / "clip.pt")) == statistics()


def test_weights_that_are_loaded_are_not_said_to_be_missing(tmp_path, caplog):
    torch.save(build_small(seed=2).state_dict(), tmp_path / "model.pth")
    options = ("MODEL.CLIP.NAME", SMALL_CLIP)
    with caplog.at_level(logging.WARNING):
        predictor = OpenVocabPredictor(
            ROOT / "tests/data/small.yaml", tmp_path / "model.pth", "cpu", options
        )
        FGASegCheckpointer(predictor.model).load(str(tmp_path / "model.pth"))
        logging.getLogger().warning("other words")
    said = [r.getMessage() for r in caplog.records if r.name.startswith(("root", "fgaseg_d2"))]
    assert said == ["other words"]
