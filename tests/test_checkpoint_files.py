"""Checkpoints from a server, and converted from one format to another."""

import pytest
import torch

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.checkpoint.files import fetch_checkpoint, read_checkpoint
from fgaseg_d2.methods.fgaseg.parameter_names import from_reference, to_reference
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from tests.conftest import ROOT, build_small, tool
from tests.servers import serving

CLIP = ("MODEL.CLIP.NAME", str(ROOT / "tests/data/clip/Small-ViT-8.json"))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder and its address; downloads go to a cache of the test's own."""
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as address:
        yield folder, address


@pytest.fixture(scope="module")
def model():
    return build_small(seed=4)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())


def test_a_checkpoint_comes_from_an_address(server, model):
    folder, address = server
    torch.save({"model": to_reference(model.state_dict())}, folder / "model_base.pth")
    url = f"{address}/model_base.pth"
    predictor = OpenVocabPredictor(ROOT / "tests/data/small.yaml", url, "cpu", CLIP)
    assert url in predictor.weights_summary and "FGA-seg format" in predictor.weights_summary
    assert same(predictor.model.state_dict(), model.state_dict())
    # The second time without the server.
    (folder / "model_base.pth").unlink()
    other = build_small(seed=5)
    FGASegCheckpointer(other).load(f"{url}?download=true")
    assert same(other.state_dict(), model.state_dict())


@pytest.mark.parametrize("name", ["cut.pth", "missing.pth", "text.pth"])
def test_a_failed_download_is_one_line_and_can_be_repeated(server, model, name):
    folder, address = server
    if name != "missing.pth":
        torch.save(model.state_dict(), folder / name)
    if name == "text.pth":
        (folder / name).write_text("<html>Sign in</html>")
    url = f"{address}/{name}"
    with pytest.raises((OSError, ValueError), match=f"expected .*{url}") as caught:
        FGASegCheckpointer(build_small(seed=5)).load(url)
    assert "\n" not in str(caught.value)
    torch.save(model.state_dict(), folder / f"whole_{name}")
    # What was no checkpoint is not kept.
    if name == "text.pth":
        (folder / name).write_bytes((folder / f"whole_{name}").read_bytes())
        assert same(read_checkpoint(url)["model"], model.state_dict())


def test_no_server_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="could not be fetched") as caught:
        fetch_checkpoint("http://127.0.0.1:9/model.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_converted_there_and_back_it_is_the_same(tmp_path, capsys, model, ending):
    own, reference, back = (tmp_path / f"{name}.{ending}" for name in ("own", "reference", "back"))
    torch.save({"model": model.state_dict(), "optimizer": {}}, tmp_path / "in.pth")
    run = tool("convert_checkpoint").main
    assert run([str(tmp_path / "in.pth"), str(own)]) == 0
    assert run([str(own), str(reference), "--to", "reference"]) == 0
    assert run([str(reference), str(back)]) == 0
    assert "FGA-seg" in capsys.readouterr().out.splitlines()[-1]
    names = read_checkpoint(str(reference))["model"]
    assert all(n.startswith(("sem_seg_head.predictor.", "upsample")) for n in names)
    assert same(read_checkpoint(str(back))["model"], model.state_dict())
    other = build_small(seed=5)
    FGASegCheckpointer(other).load(str(back))
    assert same(other.state_dict(), model.state_dict())


def test_half_precision_halves_the_numbers_and_nothing_else(tmp_path, model):
    torch.save(model.state_dict(), tmp_path / "in.pth")
    target = tmp_path / "half.safetensors"
    assert tool("convert_checkpoint").main(["--half", str(tmp_path / "in.pth"), str(target)]) == 0
    half = read_checkpoint(str(target))["model"]
    expected = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    assert same(half, expected)
    assert all(half[name].dtype == tensor.dtype for name, tensor in expected.items())


def test_every_variant_has_names_in_the_reference():
    for opts in (("MODEL.FGASEG.FAST.ENABLED", True), ("MODEL.FGASEG.FUSION", "add"),
                 ("MODEL.FGASEG.P2T.LAYERS", 3), ("MODEL.FGASEG.LCS.KERNEL_SIZE", 15),
                 ("MODEL.CLIP.PROMPT_LENGTH", 4, "MODEL.CLIP.PROMPT_DEPTH", 2)):  # fmt: skip
        state = build_small(*opts).state_dict()
        assert same(from_reference(to_reference(state)), state)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("missing.pth", "out.pth", "missing.pth"),
        ("text.pth", "out.pth", "expected a checkpoint of tensors"),
        ("foreign.pth", "out.pth", "expected a checkpoint of a segmenter"),
        ("own.pth", "out.bin", ".safetensors or .pth"),
        ("other.pth", "out.pth", "expected tensors that FGA-seg has a name for"),
    ],
)
def test_what_cannot_be_converted_is_one_line(tmp_path, capsys, model, source, target, message):
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "foreign.pth")
    torch.save(model.state_dict(), tmp_path / "own.pth")
    torch.save(model.state_dict() | {"backbone.norm": torch.zeros(1)}, tmp_path / "other.pth")
    arguments = [str(tmp_path / source), str(tmp_path / target), "--to", "reference"]
    assert tool("convert_checkpoint").main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert not (tmp_path / target).exists()
