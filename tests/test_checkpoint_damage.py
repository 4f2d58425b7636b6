"""Damaged and hostile checkpoint files: one line each, nothing run, memory bounded."""

import io
import pickle
import random
import struct
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from fgaseg_d2.checkpoint import file_kinds
from fgaseg_d2.checkpoint.file_kinds import UnreadableFileError, file_format, read_file
from fgaseg_d2.checkpoint.files import read_checkpoint
from fgaseg_d2.checkpoint.torchscript import read_torchscript

STATE = {
    "backbone.a": torch.arange(12.0).view(3, 4),
    "backbone.b": torch.ones(5, dtype=torch.float16),
    "sem_seg_head.c": torch.zeros(2, 0),
}


class _Scaled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(x)


def written(kind, content=None):
    file = io.BytesIO()
    content = STATE if content is None else content
    if kind == "safetensors":
        return safetensors.torch.save(content)
    if kind == "TorchScript":
        torch.jit.save(torch.jit.script(_Scaled()), file)
    else:
        nested = {"model": content, "iteration": 3, "trainer": {"lr": [np.float64(0.1)]}}
        torch.save(nested, file, _use_new_zipfile_serialization=kind == "zip")
    return file.getvalue()


def mutated(data, random_):
    """Bytes changed, taken out, repeated, or cut off; often in the directory of a zip archive."""
    data = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 8))):
        if not data:
            break
        start = random_.choice((0, max(0, len(data) - 700), random_.randrange(len(data))))
        place = min(len(data) - 1, start + random_.randrange(700))
        kind = random_.randrange(5)
        if kind == 0:
            data[place] ^= 1 << random_.randrange(8)
        elif kind == 1:
            data[place] = random_.choice((0, 0xFF, 0x80, 0x7F))
        elif kind == 2:
            del data[place : place + random_.randrange(1, 9)]
        elif kind == 3:
            data[place:place] = data[place : place + random_.randrange(1, 9)]
        else:
            del data[random_.randrange(len(data)) :]
    return bytes(data)


def accepts_or_says(read, path):
    """Read a file; whatever is wrong with it is one short line."""
    try:
        read(str(path))
    except (ValueError, OSError) as error:
        text = str(error)
        assert text.isprintable() and len(text) < 400 and "expected" in text, text
        return False
    return True


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "TorchScript"])
def test_no_mutation_is_a_traceback(kind, tmp_path):
    random_ = random.Random(kind)
    data = written(kind)
    path = tmp_path / "model.pth"
    read = read_torchscript if kind == "TorchScript" else read_checkpoint
    path.write_bytes(data)
    assert accepts_or_says(read, path)
    refused = 0
    for _ in range(200):
        path.write_bytes(mutated(data, random_))
        refused += not accepts_or_says(read, path)
    assert refused > 50


@pytest.mark.parametrize("place", [b"PK\x01\x02", b"PK\x05\x06"])
def test_each_byte_of_a_zip_directory_may_be_wrong(place, tmp_path):
    data = written("zip")
    start = data.rindex(place)
    path = tmp_path / "model.pth"
    for offset in range(start, min(start + 60, len(data))):
        for value in (0x00, 0xFF):
            path.write_bytes(data[:offset] + bytes([value]) + data[offset + 1 :])
            accepts_or_says(read_checkpoint, path)


def test_a_wrong_bit_in_a_weight_is_found(tmp_path):
    """torch does not compare the sums that it writes."""
    values = torch.rand(10_000)
    data = bytearray(written("zip", {"backbone.a": values}))
    data[data.index(values.numpy().tobytes()) + 777] ^= 1
    (tmp_path / "model.pth").write_bytes(data)
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_checkpoint(str(tmp_path / "model.pth"))


def test_files_without_sums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / "model.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    found = read_checkpoint(str(tmp_path / "model.pth"))["model"]
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())


def rewritten(data, change, compression=zipfile.ZIP_STORED):
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("kind", ["zip", "TorchScript"])
def test_compressed_members_are_not_unpacked(kind, compression, tmp_path):
    zeros = bytes(2**22)
    bomb = rewritten(written(kind), lambda n, d: zeros if "/data/" in n else d, compression)
    (tmp_path / "bomb.pth").write_bytes(bomb)
    read = read_torchscript if kind == "TorchScript" else read_checkpoint
    with pytest.raises(
        ValueError, match="uncompressed members .* with 4,194,304 bytes in"
    ) as caught:
        read(str(tmp_path / "bomb.pth"))
    assert len(str(caught.value)) < 400


def test_members_do_not_share_their_bytes(tmp_path):
    """A directory may list one member very often."""
    data = written("zip", {"backbone.a": torch.rand(50_000)})
    end = data.rindex(b"PK\x05\x06")
    fields = list(struct.unpack("<4s4H2LH", data[end : end + 22]))
    directory = data[fields[6] : fields[6] + fields[5]]
    entry = max(directory.split(b"PK\x01\x02")[1:], key=lambda e: struct.unpack("<L", e[20:24])[0])
    copies = 100
    directory += copies * (b"PK\x01\x02" + entry)
    fields[3] = fields[4] = fields[4] + copies
    fields[5] = len(directory)
    (tmp_path / "bomb.pth").write_bytes(
        data[: fields[6]] + directory + struct.pack("<4s4H2LH", *fields)
    )
    with pytest.raises(ValueError, match="damaged"):
        read_checkpoint(str(tmp_path / "bomb.pth"))


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_descriptions_have_a_bound(kind, tmp_path, monkeypatch):
    bound = {"safetensors": "LARGEST_HEADER"}.get(kind, "LARGEST_PICKLE")
    content = {f"backbone.{number}": torch.zeros(1) for number in range(300)}
    path = tmp_path / "model.pth"
    path.write_bytes(written(kind, content))
    assert accepts_or_says(read_checkpoint, path)
    monkeypatch.setattr(file_kinds, bound, 10_000)
    with pytest.raises(ValueError, match="10,000 bytes|damaged"):
        read_checkpoint(str(path))


def test_a_place_far_beyond_a_description_is_not_made(tmp_path):
    pickled = b"\x80\x02}r\xff\xff\xff\x7f."
    data = rewritten(written("TorchScript"), lambda n, d: pickled if n.endswith("/data.pkl") else d)
    (tmp_path / "bomb.pt").write_bytes(data)
    with pytest.raises(ValueError, match="with place 2147483647"):
        read_torchscript(tmp_path / "bomb.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\0" * 100, "something else"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b'{"message": "not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (pickle.dumps({"a": 1}), "a plain pickle"),
        (b"\x1f\x8b\x08" + bytes(50), "unpack it"),
        (b"PK\x05\x06" + bytes(18), "zip archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
        ((2**40).to_bytes(8, "little") + b"{" + bytes(50), "something else"),
        ((2**63).to_bytes(8, "little") + b"{}", "something else"),
        ((2).to_bytes(8, "little") + b"{}", "named tensors"),
        (((2000).to_bytes(8, "little") + b'{"a":' * 400), "damaged"),
    ],
)
def test_what_else_a_file_is_is_said(content, message, tmp_path):
    folder = tmp_path / ("long" * 40) / ("name" * 40)
    folder.mkdir(parents=True)
    path = folder / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_checkpoint(str(path))
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


def test_a_zip_of_something_else_is_said_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="another or a damaged zip"):
        file_format(str(tmp_path / "model.pth"), "it")
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="zip"):
        read_file(str(tmp_path / "arrays.npz"), "it")


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    torch.save(STATE, tmp_path / "model.pth")

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "model.pth"))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        read_checkpoint(str(tmp_path / "model.pth"))
