"""Part files: all of a model but its CLIP, and refused where that is another one."""

import hashlib

import open_clip
import pytest
import safetensors
import safetensors.torch
import torch

from fgaseg_d2 import OpenVocabPredictor
from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.checkpoint.part_files import clip_of_part, from_clip, sha256_of
from fgaseg_d2.config.effects import EVALUATION, without_effect
from tests.conftest import ROOT, build_small, config, tool
from tests.servers import serving
from tests.towers import small_clip

NAME = str(ROOT / "tests/data/clip/Small-ViT-8.json")
TRAINED = "backbone.visual.transformer.resblocks.1.attn.q_proj.weight"


def write_clip(path, seed):
    open_clip.add_model_config(NAME)
    torch.manual_seed(seed)
    safetensors.torch.save_file(open_clip.create_model("Small-ViT-8").state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A CLIP, a model with it of which one tensor of the CLIP was trained, and the model's part."""
    folder = tmp_path_factory.mktemp("part")
    clip, whole, part = (str(folder / name) for name in ("clip.safetensors", "whole.pth", "part"))
    part += ".safetensors"
    model = build_small("MODEL.CLIP.PRETRAINED", write_clip(clip, 1), seed=2)
    model.get_parameter(TRAINED).data += 0.01
    torch.save({"model": model.state_dict()}, whole)
    assert tool("convert_checkpoint").main([whole, part, "--without-clip", clip]) == 0
    return {"clip": clip, "whole": whole, "part": part, "state": model.state_dict()}


def same(model, state):
    return all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_a_part_holds_the_head_what_was_trained_and_the_sum_of_its_clip(files):
    with safetensors.safe_open(files["part"], "pt") as part:
        names, metadata = set(part.keys()), part.metadata()
    with open(files["clip"], "rb") as clip:
        assert metadata == {"clip_sha256": hashlib.sha256(clip.read()).hexdigest()}
    towers = {name for name in names if not name.startswith("sem_seg_head.")}
    assert towers == {TRAINED}
    assert names - towers == {n for n in files["state"] if n.startswith("sem_seg_head.")}


def test_part_and_clip_are_the_model(files, caplog):
    model = build_small("MODEL.CLIP.PRETRAINED", files["clip"], seed=5)
    checkpointer = FGASegCheckpointer(model)
    checkpointer.load(files["part"])
    assert same(model, files["state"])
    assert "not found in the checkpoint" not in caplog.text
    report = checkpointer.report
    assert not report.missing and not report.unexpected
    assert {*report.clip} == {
        name for name in files["state"] if not name.startswith("sem_seg_head.")
    } - {TRAINED}
    assert f"{len(report.clip)} tensors from the CLIP that it stands on" in report.summary()


@pytest.mark.parametrize("way", ["path", "address"])
def test_the_predictor_builds_the_clip_as_well(files, way, tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    opts = ("MODEL.CLIP.PRETRAINED", files["clip"])
    cfg = config("tests/data/small.yaml", *opts)
    folder = files["part"].rpartition("/")[0]
    with serving(folder) as url:
        weights = f"{url}/part.safetensors" if way == "address" else files["part"]
        predictor = OpenVocabPredictor(cfg, weights)
    assert same(predictor.model, files["state"])


def test_its_clip_is_not_said_to_be_without_effect(files):
    for weights, expected in (("whole", ["MODEL.CLIP.PRETRAINED"]), ("part", [])):
        cfg = config("tests/data/small.yaml", "MODEL.WEIGHTS", files[weights])
        found = [key for key, _ in without_effect(cfg, ["MODEL.CLIP.PRETRAINED"], EVALUATION)]
        assert found == expected


def test_the_clip_of_a_model_is_open_clips_own(files, tmp_path, capsys):
    """A CLIP goes into a model and comes out of it as the file that it was."""
    out = str(tmp_path / "out.safetensors")
    fresh = str(tmp_path / "fresh.pth")
    torch.save({"model": build_small("MODEL.CLIP.PRETRAINED", files["clip"]).state_dict()}, fresh)
    assert tool("convert_checkpoint").main([fresh, out, "--to", "open_clip"]) == 0
    given, found = map(safetensors.torch.load_file, (files["clip"], out))
    assert given.keys() - found.keys() == {"logit_scale"}  # which no segmenter keeps
    assert all(torch.equal(tensor, given[name]) for name, tensor in found.items())
    assert tool("convert_checkpoint").main([files["part"], out, "--to", "open_clip"]) == 1
    assert "expected both towers of a CLIP, got none of backbone.visual." in capsys.readouterr().err
    model = build_small("MODEL.CLIP.NAME", small_clip("eva02"))
    torch.save({"model": model.state_dict()}, fresh)
    assert tool("convert_checkpoint").main([fresh, out, "--to", "open_clip"]) == 1
    assert "got one whose image tower timm builds" in capsys.readouterr().err


def test_another_clip_is_refused_in_one_line(files, tmp_path):
    other = write_clip(tmp_path / "other.safetensors", 9)
    cfg = config("tests/data/small.yaml", "MODEL.CLIP.PRETRAINED", other)
    with pytest.raises(ValueError, match="set MODEL.CLIP.PRETRAINED to the file") as caught:
        OpenVocabPredictor(cfg, files["part"])
    message = str(caught.value)
    assert "\n" not in message and sha256_of(files["clip"])[:12] in message
    assert other in message and sha256_of(other)[:12] in message


def test_random_weights_and_those_of_another_checkpoint_are_refused(files):
    with pytest.raises(ValueError, match="got none from a file; set MODEL.CLIP.PRETRAINED"):
        FGASegCheckpointer(build_small()).load(files["part"])
    model = build_small("MODEL.CLIP.PRETRAINED", files["clip"])
    # The model's CLIP is then no longer that of the file.
    FGASegCheckpointer(model).load(files["whole"])
    with pytest.raises(ValueError, match="got none from a file"):
        FGASegCheckpointer(model).load(files["part"])


def test_a_part_that_lacks_more_than_the_clip_is_refused(files, tmp_path):
    state = safetensors.torch.load_file(files["part"])
    del state["sem_seg_head.p2tformer.gamma"]
    sha256 = {"clip_sha256": sha256_of(files["clip"])}
    safetensors.torch.save_file(state, tmp_path / "less.safetensors", sha256)
    model = build_small("MODEL.CLIP.PRETRAINED", files["clip"])
    with pytest.raises(ValueError, match="lacks .* 1 of .*gamma"):
        FGASegCheckpointer(model).load(str(tmp_path / "less.safetensors"))


def test_prompts_are_not_the_clips(files):
    opts = ("MODEL.CLIP.PROMPT_LENGTH", 2, "MODEL.CLIP.PROMPT_DEPTH", 1)
    model = build_small("MODEL.CLIP.PRETRAINED", files["clip"], *opts)
    names = from_clip(model, sha256_of(files["clip"]), "part")
    assert {name for name in model.state_dict() if name not in names} == {
        "backbone.prompt_tokens",
        *(name for name in model.state_dict() if name.startswith("sem_seg_head.")),
    }


def test_a_part_stays_one_when_it_is_converted(files, tmp_path, capsys):
    again, bare = tmp_path / "again.safetensors", tmp_path / "bare.pth"
    assert tool("convert_checkpoint").main([files["part"], str(again)]) == 0
    assert clip_of_part(str(again)) == clip_of_part(files["part"]) != ""
    assert tool("convert_checkpoint").main([files["part"], str(bare)]) == 1
    assert "part file's name to end in .safetensors" in capsys.readouterr().err
    assert not bare.exists()


@pytest.mark.parametrize(
    ("clip", "extra", "message"),
    [
        ("whole.pth", (), "expected a .safetensors file for --without-clip"),
        ("gone.safetensors", (), "expected --without-clip to be a checkpoint, got nothing"),
        ("head.safetensors", (), "expected the CLIP that"),
        ("clip.safetensors", ("--to", "reference"), "--without-clip without --to reference"),
        ("clip.safetensors", ("--to", "open_clip"), "--without-clip without --to open_clip"),
    ],
)
def test_what_is_no_clip_of_the_checkpoint_is_one_line(
    files, tmp_path, capsys, clip, extra, message
):
    folder = files["part"].rpartition("/")[0]
    path = tmp_path / clip if clip.startswith(("head", "gone")) else f"{folder}/{clip}"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, tmp_path / "head.safetensors")
    arguments = [files["whole"], str(tmp_path / "out.safetensors"), "--without-clip", str(path)]
    assert tool("convert_checkpoint").main([*arguments, *extra]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert not (tmp_path / "out.safetensors").exists()


def test_other_files_are_no_parts(files, tmp_path):
    (tmp_path / "text").write_text("hello")
    for path in (files["whole"], files["clip"], tmp_path / "text", tmp_path, tmp_path / "gone"):
        assert clip_of_part(str(path)) == ""


def test_other_methods_have_no_names_of_the_authors_code(tmp_path, capsys):
    ldvc = ("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.LDVC.HEADS", 4)
    torch.save({"model": build_small(*ldvc).state_dict()}, tmp_path / "ldvc.pth")
    arguments = [str(tmp_path / "ldvc.pth"), str(tmp_path / "out.pth")]
    convert = tool("convert_checkpoint").main
    assert convert([*arguments, "--to", "reference"]) == 1
    error = capsys.readouterr().err
    assert "expected a checkpoint of FGAseg or CAT-Seg with --to reference" in error
    assert error.count("\n") == 1 and not (tmp_path / "out.pth").exists()
    assert convert(arguments) == 0 and (tmp_path / "out.pth").exists()
