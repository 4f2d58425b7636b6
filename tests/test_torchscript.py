"""Tensors out of TorchScript archives, without running what is in them."""

import io
import pickle
import zipfile

import pytest
import torch
from torch import nn

from fgaseg_d2.checkpoint.torchscript import is_torchscript, read_torchscript


class Inner(nn.Module):
    """Tied and sliced tensors, a buffer, settings of several types."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4).half()
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("part", torch.arange(6.0).view(2, 3).t()[1:])
        self.register_buffer("none", torch.empty(0, 2))
        self.sizes = [1, 2]
        self.table = {"a": 1}
        self.factor = 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor * self.table["a"] * self.sizes[0]


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Inner(), Inner())
        self.scale = nn.Parameter(torch.ones([]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x) * self.scale


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "model.pt"
    model = torch.jit.script(Outer())
    model.save(str(path))
    return path, model.state_dict()


def test_the_state_dict_is_the_programs_own(archive):
    path, expected = archive
    assert is_torchscript(path)
    state = read_torchscript(path)
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        assert state[name].dtype == tensor.dtype and torch.equal(state[name], tensor), name


def rewritten(archive, target, member, content):
    """The archive with another member."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith(member) else old.read(name))
    return target


class _Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_in_it_runs(archive, tmp_path):
    bomb = pickle.dumps(_Bomb(tmp_path / "exploded"), protocol=2)
    path = rewritten(archive[0], tmp_path / "bomb.pt", "/data.pkl", bomb)
    assert read_torchscript(path) == {}
    program = b"this is no program"
    path = rewritten(archive[0], tmp_path / "code.pt", ".py", program)
    assert read_torchscript(path).keys() == archive[1].keys()
    assert not (tmp_path / "exploded").exists()


def test_damage_is_one_error(archive, tmp_path):
    short = rewritten(archive[0], tmp_path / "short.pt", "/data/0", b"\0\0")
    with pytest.raises(ValueError, match=r"expected a TorchScript archive in .*short\.pt"):
        read_torchscript(short)
    data = archive[0].read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    assert not is_torchscript(tmp_path / "cut.pt")
    torch.save({"a": torch.zeros(2)}, file := io.BytesIO())
    (tmp_path / "plain.pt").write_bytes(file.getvalue())
    assert not is_torchscript(tmp_path / "plain.pt")
