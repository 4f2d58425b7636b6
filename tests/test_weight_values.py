"""Values that are no weights, in every kind of file and at every door."""

import open_clip
import pytest
import safetensors.torch
import torch

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.checkpoint.weight_checks import check_size
from fgaseg_d2.modeling.towers.loading import PretrainedWeightsError, load_clip
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from tests.conftest import ROOT, build_small, tool

SMALL_CLIP = str(ROOT / "tests/data/clip/Small-ViT-8.json")
NAME = "backbone.visual.conv1.weight"


@pytest.fixture(scope="module")
def model():
    return build_small(seed=7)


def with_value(value):
    def change(tensor):
        changed = tensor.clone()
        changed.view(-1)[-1] = value
        return changed

    return change


BAD = {
    "NaN": (with_value(float("nan")), "NaN in 1 of"),
    "Inf": (with_value(float("inf")), "infinite values in 1 of"),
    "-Inf": (with_value(-float("inf")), "infinite values in 1 of"),
    "NaN in half precision": (lambda t: with_value(float("nan"))(t.half()), "NaN in 1 of"),
    "NaN in bfloat16": (lambda t: with_value(float("nan"))(t.bfloat16()), "NaN in 1 of"),
    "too large for float32": (lambda t: with_value(1e300)(t.double()), "infinite values in 1 of"),
    "integers": (lambda t: t.long(), "values of type int64"),
    "bytes": (lambda t: t.byte(), "values of type uint8"),
    "booleans": (lambda t: t.bool(), "values of type bool"),
    "complex": (lambda t: t.to(torch.complex64), "values of type complex64"),
    "sparse": (lambda t: t.to_sparse(), "a sparse one .*to_dense"),
    "sparse rows": (lambda t: t.flatten(1).to_sparse_csr(), "a sparse one"),
    "quantised": (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "a quantised one"),
    "without values": (lambda t: t.to("meta"), "without values"),
}
# What safetensors can hold.
PLAIN = list(BAD)[:10]


def refused(message, action, *arguments):
    with pytest.raises((ValueError, PretrainedWeightsError), match=message) as caught:
        action(*arguments)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400 and "expected" in text


@pytest.mark.parametrize("kind", BAD)
def test_a_checkpoint_with_them_is_refused(kind, model, tmp_path):
    change, message = BAD[kind]
    state = model.state_dict()
    path = str(tmp_path / "model.pth")
    torch.save({"model": state | {NAME: change(state[NAME])}}, path)
    before = {name: tensor.clone() for name, tensor in state.items()}
    refused(message, FGASegCheckpointer(model, allow_partial=True).load, path)
    # Nothing of it has come into the model.
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


@pytest.mark.parametrize("kind", PLAIN)
def test_a_safetensors_file_with_them_is_refused(kind, model, tmp_path):
    change, message = BAD[kind]
    state = model.state_dict()
    path = str(tmp_path / "model.safetensors")
    safetensors.torch.save_file(state | {NAME: change(state[NAME])}, path)
    refused(message, FGASegCheckpointer(model).load, path)


@pytest.mark.parametrize("kind", BAD)
def test_a_clip_file_with_them_is_refused(kind, tmp_path):
    change, message = BAD[kind]
    state = load_clip_state()
    path = str(tmp_path / "clip.pt")
    torch.save(state | {"visual.conv1.weight": change(state["visual.conv1.weight"])}, path)
    refused(message, load_clip, SMALL_CLIP, path)


def load_clip_state():
    open_clip.add_model_config(SMALL_CLIP)
    return open_clip.create_model("Small-ViT-8").state_dict()


@pytest.mark.parametrize("kind", ["NaN", "booleans", "sparse"])
def test_they_are_not_converted(kind, model, tmp_path, capsys):
    change, message = BAD[kind]
    state = model.state_dict()
    torch.save(state | {NAME: change(state[NAME])}, tmp_path / "in.pth")
    target = tmp_path / "out.safetensors"
    assert tool("convert_checkpoint").main([str(tmp_path / "in.pth"), str(target)]) == 1
    assert message.split(" .*")[0] in capsys.readouterr().err and not target.exists()


def test_what_half_precision_cannot_hold_is_not_halved(model, tmp_path, capsys):
    state = model.state_dict()
    torch.save(state | {NAME: with_value(1e6)(state[NAME])}, tmp_path / "in.pth")
    arguments = [str(tmp_path / "in.pth"), str(tmp_path / "out.pth"), "--half"]
    assert tool("convert_checkpoint").main(arguments) == 1
    assert "leave out --half" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


def test_the_predictor_refuses_them_in_one_line(model, tmp_path):
    state = model.state_dict()
    path = tmp_path / "model.pth"
    torch.save({"state_dict": {f"module.{n}": t * float("nan") for n, t in state.items()}}, path)
    options = ("MODEL.CLIP.NAME", SMALL_CLIP)
    refused("NaN in", OpenVocabPredictor, ROOT / "tests/data/small.yaml", path, "cpu", options)


def test_beside_the_weights_they_do_not_matter(model, tmp_path):
    others = {
        "loss.buffer": torch.full((2,), float("nan")),
        "table": torch.ones(2).to_sparse(),
        "counter": torch.tensor(3),
        "sem_seg_head.num_batches_tracked": torch.tensor(5),
    }
    torch.save(model.state_dict() | others, tmp_path / "model.pth")
    checkpointer = FGASegCheckpointer(model)
    checkpointer.load(str(tmp_path / "model.pth"))
    assert checkpointer.report.loaded == checkpointer.report.total


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2])
def test_other_precisions_load(dtype, model, tmp_path):
    expected = {n: t.to(dtype).float() for n, t in model.state_dict().items()}
    torch.save({n: t.to(dtype) for n, t in model.state_dict().items()}, tmp_path / "model.pth")
    loaded = build_small(seed=1)
    FGASegCheckpointer(loaded).load(str(tmp_path / "model.pth"))
    assert all(torch.equal(t, expected[n]) for n, t in loaded.state_dict().items())


def test_a_small_file_does_not_stand_for_very_many_numbers(model, tmp_path):
    state = model.state_dict()
    path = tmp_path / "model.pth"
    torch.save(state | {NAME: torch.zeros(1).expand(10**5, 10**6)}, path)
    refused("bytes at most", FGASegCheckpointer(model).load, str(path))
    check_size({"tied": torch.zeros(100), "position": torch.arange(9).expand(1, -1)}, 500, "x")
