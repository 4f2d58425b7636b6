"""Checkpoints: what is recognised, what is refused, and that no code runs."""

import collections
import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.utils.file_io import PathManager

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.methods.fgaseg.parameter_names import from_reference, is_reference, to_reference
from tests.conftest import GOLDEN, build, build_small


@pytest.fixture(scope="module")
def state():
    return build_small(seed=7).state_dict()


def same(model, state):
    return all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", ["pth", "bare pth", "safetensors"])
def test_own_checkpoints_load_whatever_they_are_wrapped_in(kind, state, tmp_path):
    path = tmp_path / f"model.{kind.split()[-1]}"
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state if kind == "bare pth" else {"model": state, "iteration": 3}, path)
    model = build_small(seed=1)
    checkpointer = FGASegCheckpointer(model)
    checkpointer.load(str(path))
    assert same(model, state)
    report = checkpointer.report
    assert report.loaded == report.total == sum(p.numel() for p in model.parameters())
    assert (report.kind, report.missing, report.unexpected) == ("fgaseg_d2", (), ())
    assert f"{report.total:,} of {report.total:,} parameters from {path}" in report.summary()


def test_a_half_matching_checkpoint_is_refused_unless_asked_for(state, tmp_path):
    half = {n: t for n, t in state.items() if not n.startswith("text_encoder.")}
    half["something.else"] = torch.zeros(3)
    torch.save(half, tmp_path / "half.pth")
    model = build_small(seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="lacks or has in another shape .*text_encoder"):
        FGASegCheckpointer(model).load(str(tmp_path / "half.pth"))
    assert same(model, before)
    checkpointer = FGASegCheckpointer(model, allow_partial=True)
    checkpointer.load(str(tmp_path / "half.pth"))
    assert checkpointer.report.unexpected == ("something.else",)
    assert all(name.startswith("text_encoder.") for name in checkpointer.report.missing)
    assert "left over" in checkpointer.report.summary()


def test_a_foreign_checkpoint_is_refused_even_as_a_part(tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    checkpointer = FGASegCheckpointer(build_small(), allow_partial=True)
    for _ in range(2):
        with pytest.raises(ValueError, match="none of whose 1 tensors fits"):
            checkpointer.load(str(tmp_path / "resnet.pth"))


def test_a_checkpoint_of_another_size_is_refused(state, tmp_path):
    torch.save(state, tmp_path / "model.pth")
    wider = build_small("MODEL.FGASEG.HIDDEN_DIM", 64)
    with pytest.raises(ValueError, match="in another shape"):
        FGASegCheckpointer(wider).load(str(tmp_path / "model.pth"))


def test_what_is_no_checkpoint_gives_one_clear_line(state, tmp_path):
    model = build_small()
    torch.save(state, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    files = {
        "cut.pth": whole[: len(whole) // 2],
        "text.pth": b"hello",
        "empty.pth": b"",
        "cut.safetensors": b"\x10\x00\x00\x00\x00\x00\x00\x00{}",
    }
    torch.save({"model": [1, 2, 3]}, tmp_path / "list.pth")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in (*files, "list.pth"):
        with pytest.raises(ValueError, match=f"expected .*{name}") as caught:
            FGASegCheckpointer(model).load(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="MODEL.WEIGHTS"):
        FGASegCheckpointer(model).load(str(tmp_path / "missing.pth"))


class _Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["bomb.pth", "bomb.pkl", "bomb.pyth"])
def test_loading_runs_no_code(name, tmp_path):
    (tmp_path / name).write_bytes(pickle.dumps({"model": _Bomb(tmp_path / "exploded")}))
    with pytest.raises(ValueError, match="expected "):
        FGASegCheckpointer(build_small()).load(str(tmp_path / name))
    assert not (tmp_path / "exploded").exists()


def test_a_bomb_beside_the_weights_is_refused_too(state, tmp_path):
    for number, bomb in enumerate(
        (
            _Bomb(tmp_path / "exploded"),
            np.array([_Bomb(tmp_path / "exploded")], dtype=object),
            collections.defaultdict(_Bomb(tmp_path / "exploded").__reduce__),
        )
    ):
        path = tmp_path / f"bomb{number}.pth"
        torch.save({"model": state, "optimizer": bomb}, path)
        with pytest.raises(ValueError, match="other objects") as caught:
            FGASegCheckpointer(build_small()).load(str(path))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def of_numpy_1(data):
    """A file of torch.save as written beside NumPy 1, which kept its functions elsewhere."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data.replace(b"numpy._core", b"numpy.core")
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"numpy._core", b"numpy.core"))
    return target.getvalue()


@pytest.mark.parametrize("numpy", [1, 2])
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_what_old_training_code_saved_with_the_weights_is_read(state, tmp_path, as_zip, numpy):
    file = io.BytesIO()
    extra = {
        "iteration": np.int64(79999),
        "scheduler": {"base_lrs": [np.float64(2e-4)], "last_epoch": 5, "done": np.bool_(True)},
        "optimizer": {"state": collections.defaultdict(dict, {0: {"step": np.float32(3)}})},
        "hooks": {"history": np.arange(3.0), "names": np.array(["mIoU"])},
    }
    model = collections.OrderedDict(state)
    torch.save({"model": model, **extra}, file, _use_new_zipfile_serialization=as_zip)
    data = of_numpy_1(file.getvalue()) if numpy == 1 else file.getvalue()
    assert (b"numpy._core" in data) == (numpy == 2)
    (tmp_path / "old.pth").write_bytes(data)
    loaded = build_small(seed=1)
    rest = FGASegCheckpointer(loaded).load(str(tmp_path / "old.pth"))
    assert same(loaded, state)
    assert rest["iteration"] == 79999 and rest["scheduler"] == extra["scheduler"]
    assert rest["optimizer"]["state"] == {0: {"step": 3}}
    assert rest["hooks"]["history"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("names", ["own", "reference"])
def test_what_surrounds_the_weights_does_not_matter(state, tmp_path, caplog, names):
    """Prefixes of DataParallel, half precision, arrays, and entries that are no tensors."""
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    saved = half if names == "own" else to_reference(half)
    first = next(iter(saved))
    saved = {f"module.{n}": t.numpy() if n == first else t for n, t in saved.items()}
    torch.save({"model": saved | {"version": 3, "notes": None}}, tmp_path / "model.pth")
    model = build_small(seed=1)
    checkpointer = FGASegCheckpointer(model)
    # Command lines that were tested before may have quietened it.
    with caplog.at_level("WARNING", logger="fgaseg_d2.checkpoint.files"):
        checkpointer.load(str(tmp_path / "model.pth"))
    assert all(t.dtype == state[n].dtype for n, t in model.state_dict().items())
    assert same(model, {n: half[n].to(t.dtype) for n, t in state.items()})
    assert checkpointer.report.kind == ("fgaseg_d2" if names == "own" else "FGA-seg")
    assert "left out 2 entries" in caplog.text


def test_a_torchscript_program_is_named_as_one(tmp_path):
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "clip.pth")
    with pytest.raises(ValueError, match="TorchScript .*MODEL.CLIP.PRETRAINED") as caught:
        FGASegCheckpointer(build_small()).load(str(tmp_path / "clip.pth"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("manifest", ["vitb16_fast_cat", "catseg_vitb16"])
def test_the_references_names_are_translated_one_to_one(manifest):
    shapes = json.loads((GOLDEN / f"manifest_{manifest}.json").read_text())
    shapes = {name: shape for name, shape in shapes.items() if "attn_mask" not in name}
    reference = {name: torch.empty(shape) for name, shape in shapes.items()}
    assert is_reference(reference)
    translated = from_reference(reference)
    assert not is_reference(translated)
    # Each packed bias becomes three; the temperature is no part of a segmenter.
    packed = sum(name.endswith("attn.in_proj_bias") and "clip_model" in name for name in reference)
    assert len(translated) == len(reference) + 2 * packed - 1
    assert not [name for name in translated if "predictor" in name]
    back = {name: tensor.shape for name, tensor in to_reference(translated).items()}
    del reference["sem_seg_head.predictor.clip_model.logit_scale"]
    assert back == {name: tensor.shape for name, tensor in reference.items()}


def test_no_checkpoint_is_said_so():
    checkpointer = FGASegCheckpointer(build_small())
    checkpointer.load("")
    assert "none of" in checkpointer.report.summary()


def test_unknown_weights_of_the_package_name_those_there_are():
    with pytest.raises(FileNotFoundError, match="there are: .*safetensors"):
        PathManager.get_local_path("fgaseg_d2://no-such.safetensors")


def test_detectron2s_own_checkpointer_reads_the_weights_of_the_package(tmp_path):
    model = build("configs/fgaseg/tiny.yaml")
    path = "fgaseg_d2://storybook_vit8.safetensors"
    DetectionCheckpointer(model).load(path)
    loaded = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = build("configs/fgaseg/tiny.yaml", seed=5)
    checkpointer = FGASegCheckpointer(other)
    checkpointer.load(path)
    assert checkpointer.report.loaded == checkpointer.report.total
    assert same(other, loaded)
