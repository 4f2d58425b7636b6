"""Weights inside whatever training programs put around them."""

import argparse
import collections
import pathlib

import pytest
import safetensors.torch
import torch
from torch import nn

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.checkpoint.files import read_checkpoint
from fgaseg_d2.methods.fgaseg.parameter_names import to_reference
from tests.conftest import build_small, tool


@pytest.fixture(scope="module")
def state():
    return build_small(seed=7).state_dict()


@pytest.fixture(scope="module")
def other():
    """A model to load into; each test fills all of it."""
    return build_small(seed=1)


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def inside(part, wrapper, state):
    """Put a wrapper around a part of the model, as FSDP and torch.compile do."""
    return {name.replace(part, f"{part}{wrapper}", 1): t for name, t in state.items()}


def copied(state):
    """Another set of weights, such as their average."""
    return {name: t + 1 if t.is_floating_point() else t for name, t in state.items()}


def optimizer(state):
    """What optimisers keep; some do it under the names of the weights."""
    by_name = {n: {"exp_avg": t + 2.0, "exp_avg_sq": t + 2.0} for n, t in state.items()}
    return {"state": by_name, "param_groups": [{"lr": 0.1, "params": list(state)}]}


WRAPPED = {
    "torch.compile": lambda s: prefixed("_orig_mod.", s),
    "DataParallel": lambda s: prefixed("module.", s),
    "both": lambda s: {"model": prefixed("module._orig_mod.", s)},
    "both, the other way round": lambda s: {"model": prefixed("_orig_mod.module.", s)},
    "twice": lambda s: prefixed("module.module.", s),
    "FSDP": lambda s: inside("backbone.", "_fsdp_wrapped_module.", prefixed(
        "_fsdp_wrapped_module.", s)),
    "compiled and checkpointed parts": lambda s: inside("sem_seg_head.", "_orig_mod.", inside(
        "backbone.visual.", "_checkpoint_wrapped_module.", s)),
    "Lightning": lambda s: {
        "epoch": 3, "global_step": 7, "pytorch-lightning_version": "2.1", "loops": {"fit": {}},
        "state_dict": prefixed("model.", s) | {"criterion.weight": torch.ones(3)},
        "optimizer_states": [optimizer(s)], "hyper_parameters": {"lr": 0.1},
    },
    "Lightning, compiled": lambda s: {"state_dict": prefixed("net._orig_mod.", s)},
    "Fabric": lambda s: {"model": prefixed("_forward_module.", s), "optimizer": optimizer(s)},
    "mmengine": lambda s: {"meta": {"epoch": 1}, "state_dict": s, "message_hub": {"a": {}}},
    "DeepSpeed": lambda s: {"module": prefixed("module.", s), "optimizer": None, "dp_size": 2},
    "timm": lambda s: {"epoch": 1, "arch": "x", "state_dict": s, "optimizer": optimizer(s),
                       "state_dict_ema": copied(s), "metric": 0.5},
    "timm, the average alone": lambda s: {"epoch": 1, "state_dict_ema": prefixed("module.", s)},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": optimizer(s)},
    "model in model": lambda s: {"model": {"state_dict": prefixed("module.", s)}, "iteration": 4},
    "deep": lambda s: {"checkpoint": {"state": {"network": {"params": s}}}},
    "a name nobody knows": lambda s: {"our_stuff": prefixed("segmenter.inner.", s)},
    "detrex": lambda s: {"model": s, "ema_state": copied(s),
                         "trainer": {"optimizer": optimizer(s)}},
    "average first": lambda s: {"model_ema": copied(s), "model": s},
    "teacher first": lambda s: {"state_dict": prefixed("teacher.", copied(s))
                                | prefixed("student.", s)},
    "AveragedModel": lambda s: {"n_averaged": torch.tensor(9)} | prefixed("module.", s),
    "ema_pytorch": lambda s: {"initted": torch.tensor(True), "step": torch.tensor(3)}
    | prefixed("ema_model.", copied(s)) | prefixed("online_model.", s),
    "profiled": lambda s: prefixed("module.", s | {
        "total_ops": torch.zeros(1, dtype=torch.float64), "backbone.total_params": torch.zeros(1)}),
    "profiled outside": lambda s: {"total_ops": torch.zeros(1)} | prefixed("module.", s),
    "accelerate": lambda s: {"model": prefixed("_orig_mod.", s), "scaler": {}, "random_states": []},
    "parts": lambda s: {
        part: {n.removeprefix(f"{part}."): t for n, t in s.items() if n.startswith(f"{part}.")}
        for part in ("backbone", "text_encoder", "sem_seg_head")
    },
    "by name": lambda s: {"optimizer": optimizer(s), "optim_state": prefixed("model.", copied(s)),
                          "weights": collections.OrderedDict(s)},
    "in a list": lambda s: {"models": [{"state_dict": prefixed("module.", s)}, None]},
    "a list alone": lambda s: (s, {"epoch": 3}),
    "of the authors": lambda s: {"state_dict": prefixed("module.", to_reference(s))},
    "of the authors, compiled": lambda s: prefixed("_orig_mod.", to_reference(s)),
}  # fmt: skip


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_the_weights_are_found(wrapper, state, other, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(WRAPPED[wrapper](state), path)
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor.zero_()
    checkpointer = FGASegCheckpointer(other)
    checkpointer.load(str(path))
    assert checkpointer.report.loaded == checkpointer.report.total
    assert all(torch.equal(t, state[n]) for n, t in other.state_dict().items())


@pytest.mark.parametrize("wrapper", ["Lightning", "timm", "detrex", "by name", "of the authors"])
def test_they_are_found_without_a_model_too(wrapper, state, tmp_path):
    torch.save(WRAPPED[wrapper](state), tmp_path / "model.pth")
    source, target = str(tmp_path / "model.pth"), str(tmp_path / "converted.pth")
    assert tool("convert_checkpoint").main([source, target]) == 0
    found = read_checkpoint(target)["model"]
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_modules_wrapped_by_torch_itself_load(state, other, tmp_path):
    model = build_small(seed=7)
    wrapped = torch.compile(nn.DataParallel(model))
    torch.save({"net": wrapped.state_dict()}, tmp_path / "wrapped.pth")
    averaged = torch.optim.swa_utils.AveragedModel(model)
    torch.save(averaged.state_dict(), tmp_path / "averaged.pth")
    for name in ("wrapped", "averaged"):
        FGASegCheckpointer(other).load(str(tmp_path / f"{name}.pth"))
        assert all(torch.equal(t, state[n]) for n, t in other.state_dict().items())


def test_what_lies_beside_the_weights_is_told(state, other, tmp_path, caplog):
    path = tmp_path / "model.pth"
    content = prefixed("module.", state) | {"total_ops": torch.zeros(1), "module.version": 3}
    torch.save({"state_dict": content, "state_dict_ema": copied(state), "epoch": 5}, path)
    checkpointer = FGASegCheckpointer(other)
    with caplog.at_level("WARNING", logger="fgaseg_d2.checkpoint.state_dicts"):
        rest = checkpointer.load(str(path))
    assert checkpointer.report.unexpected == ("total_ops",)
    assert "left out 1 entries" in caplog.text and "version" in caplog.text
    assert "several copies" in caplog.text and "state_dict_ema" in caplog.text
    assert rest["epoch"] == 5 and "model" not in rest


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.bin", "a", "a?b#c.pth"])
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_the_first_bytes_say_the_format(kind, name, state, other, tmp_path):
    path = tmp_path / name
    if kind == "torch":
        torch.save(prefixed("_orig_mod.", state), path)
    else:
        safetensors.torch.save_file(prefixed("_orig_mod.", state), path)
    checkpointer = FGASegCheckpointer(other)
    checkpointer.load(str(path))
    assert checkpointer.report.loaded == checkpointer.report.total


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"state": {}},
        {"state": {}, "param_groups": [{}]},
        [1],
        3,
        {"param_groups": 1, "state": 2},
    ],
)
def test_a_state_that_training_cannot_go_on_from_is_one_line(broken, state, other, tmp_path):
    torch.save({"model": state, "optimizer": broken}, tmp_path / "model.pth")
    optimiser = torch.optim.SGD(other.parameters(), lr=0.1)
    checkpointer = FGASegCheckpointer(other, optimizer=optimiser)
    with pytest.raises(
        ValueError, match="expected a checkpoint to go on from|loaded state"
    ) as caught:
        checkpointer.load(str(tmp_path / "model.pth"))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
    # The weights alone are there.
    checkpointer.load(str(tmp_path / "model.pth"), checkpointables=[])


def test_a_path_of_the_home_folder_is_found(state, other, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(state, tmp_path / "model.pth")
    checkpointer = FGASegCheckpointer(other)
    checkpointer.load("~/model.pth")
    checkpointer.load(pathlib.Path("~/model.pth"))
    assert checkpointer.report.loaded == checkpointer.report.total


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"layer4.weight": torch.ones(2)}}, r"it holds layer4\.weight"),
        ({"visual.proj": torch.ones(2), "logit_scale": torch.ones(1)}, "MODEL.CLIP.PRETRAINED"),
        ({"vision_model.x": torch.ones(2)}, "a CLIP, which belongs in"),
        ({"optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}, "expected a checkpoint with"),
        ({"model": {}}, "expected a checkpoint with named tensors"),
        ({"x" * 10_000: torch.ones(2)}, "it holds xxxx"),
        ({"a\nb\x1b[31m": torch.ones(2)}, "it holds a"),
        ([torch.ones(2)], "expected a checkpoint with named tensors"),
        (torch.ones(2), "expected a checkpoint with named tensors"),
    ],
)
def test_where_nothing_fits_what_was_found_is_said(content, message, other, tmp_path):
    folder = tmp_path / ("long" * 40) / ("name" * 40)
    folder.mkdir(parents=True)
    torch.save(content, folder / "model.pth")
    with pytest.raises(ValueError, match=message) as caught:
        FGASegCheckpointer(other, allow_partial=True).load(str(folder / "model.pth"))
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


def test_a_dictionary_in_itself_ends(other, tmp_path):
    loop: dict = {"a": torch.ones(1)}
    loop["self"] = {"again": loop}
    torch.save(loop, tmp_path / "loop.pth")
    with pytest.raises(ValueError, match="none of whose 1 tensors fits"):
        FGASegCheckpointer(other).load(str(tmp_path / "loop.pth"))


def test_settings_beside_the_weights_do_not_matter(state, other, tmp_path):
    """timm, DeiT, MAE and others save their command line, Lightning its hyper-parameters."""
    settings = argparse.Namespace(lr=0.1, output=pathlib.PurePosixPath("/tmp"), seen={1, 2})
    torch.save({"model": state, "args": settings}, tmp_path / "model.pth")
    checkpointer = FGASegCheckpointer(other)
    checkpointer.load(str(tmp_path / "model.pth"))
    assert checkpointer.report.loaded == checkpointer.report.total
