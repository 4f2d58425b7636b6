"""Bad checkpoints: damaged files of every format, wrapped and foreign contents, other things."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile

import safetensors.torch

from bad_inputs.case import Case, Draw
from bad_inputs.checkpoint_contents import Program
from bad_inputs.checkpoint_doors import checkpoint_door, file_case, saved
from bad_inputs.material import picture_bytes
from bad_inputs.mutations import damaged, odd_value


def damaged_zip(draw: Draw) -> Case:
    """A .pth in torch's present format with wrong bytes, often in its directory."""
    data = saved({"model": draw.material.small_state})
    start = draw.rng.choice((0, 0, data.rfind(b"PK\5\6"), data.find(b"PK\1\2")))
    return file_case(draw, "model.pth", damaged(draw.rng, data, start), f"damage from byte {start}")


def damaged_old(draw: Draw) -> Case:
    """A .pth in torch's former format with wrong bytes."""
    data = saved({"model": draw.material.small_state}, zipped=False)
    return file_case(draw, "model.pth", damaged(draw.rng, data), "damage")


def damaged_safetensors(draw: Draw) -> Case:
    """A .safetensors with wrong bytes, mostly in its header."""
    data = safetensors.torch.save(draw.material.small_state)
    (length,) = struct.unpack("<Q", data[:8])
    end = draw.rng.choice((8, 8 + length, 8 + length, len(data)))
    return file_case(
        draw, "model.safetensors", damaged(draw.rng, data, 0, end), f"damage up to byte {end}"
    )


def safetensors_header(draw: Draw) -> Case:
    """A .safetensors whose header says something else."""
    rng = draw.rng
    data = safetensors.torch.save(draw.material.small_state)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    entry = header[rng.choice(list(header))]
    field = rng.choice(("dtype", "shape", "data_offsets", "other"))
    value = rng.choice((odd_value(rng), [-1, 4], [2**40, 2**40], [4, 0], "F8_E4M3", "I64", "BOOL"))
    entry[field] = value
    text = json.dumps(header, allow_nan=True).encode()
    stated = rng.choice((len(text), len(text), len(text) + 7, 2**40, 2**64 - 1))
    data = struct.pack("<Q", stated) + text + data[8 + length :]
    return file_case(draw, "model.safetensors", data, f"{field} {str(value)[:60]}, length {stated}")


def zip_members(draw: Draw) -> Case:
    """A .pth whose archive has other members than it should."""
    rng = draw.rng
    source = zipfile.ZipFile(io.BytesIO(saved({"model": draw.material.small_state})))
    names = source.namelist()
    victim = rng.choice((*names, next(n for n in names if n.endswith("data.pkl"))))
    action = rng.choice(("drop", "rename", "empty", "twice", "compress", "foreign", "garbage"))
    new = rng.choice(("", "/", "../x", "a/code/b.py", "x" * 300, "\u00e9", "constants.pkl"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name in names:
            content = source.read(name)
            if name != victim:
                target.writestr(name, content)
            elif action == "rename":
                target.writestr(new or "archive", content)
            elif action != "drop":
                content = {"empty": b"", "garbage": rng.randbytes(50)}.get(action, content)
                packed = zipfile.ZIP_DEFLATED if action == "compress" else zipfile.ZIP_STORED
                target.writestr(name, content, packed)
                if action == "twice":
                    target.writestr(f"{name}.1", content)
        if action == "foreign":
            target.writestr(new or "notes.txt", b"x = 1")
    return file_case(draw, "model.pth", stream.getvalue(), f"{action} {victim} ({new[:20]})")


def random_pickle(draw: Draw) -> Case:
    """A .pth whose description of the tensors is damaged or random."""
    rng = draw.rng
    source = zipfile.ZipFile(io.BytesIO(saved({"model": draw.material.small_state})))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                content = rng.choice(
                    (damaged(rng, content), damaged(rng, content), b"\x80\2" + rng.randbytes(200))
                )
            target.writestr(name, content)
    return file_case(draw, "model.pth", stream.getvalue(), "damaged data.pkl")


def other_things(draw: Draw) -> Case:
    """Something else where a checkpoint should be."""
    rng = draw.rng
    name = f"model{rng.choice(('.pth', '.safetensors', '.pt', '.bin', '.pkl', '', '.onnx'))}"
    content = rng.choice(
        (
            *(b"", b"\0" * 5000, b"not a checkpoint", b"<!DOCTYPE html><html>404</html>"),
            *(picture_bytes("PNG"), b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            *(b"{}", pickle.dumps({"model": [1]}), pickle.dumps(Program()), rng.randbytes(3000)),
            *(b"PK\x03\x04", b"PK\5\6" + b"\0" * 18, b"\x80\x02", b"\x1f\x8b\x08", b"\x89HDF\r\n"),
        )
    )
    path = draw.folder / name
    what = rng.choice(("file", "file", "file", "folder", "pipe", "link", "null"))
    if what == "file":
        path.write_bytes(content)
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null" if what == "null" else "nowhere")
    return Case(f"{what} {name} {content[:20]!r}", checkpoint_door(draw, path))


def addresses(draw: Draw) -> Case:
    """A path or an address that leads nowhere."""
    path = draw.rng.choice(
        (
            *("", " ", "none.pth", "~nobody/x.pth", "a" * 300 + ".pth", "\0.pth", "\n", "."),
            *("fgaseg_d2://", "fgaseg_d2://none", "fgaseg_d2://../x.safetensors", "fgaseg_d2://."),
            *("http://127.0.0.1:9/x.pth", "https://127.0.0.1:9/../../x.pth", "http://", "http://["),
            *(
                "s3://bucket/x.pth",
                "hf://owner/x",
                "file:///none.pth",
                "gs://x",
                "://",
                "C:\\x.pth",
            ),
            *("http://127.0.0.1:9/%00", "http://127.0.0.1:99999/x.pth", "http://\u00e9\udc80/x"),
        )
    )
    return Case(repr(path)[:80], checkpoint_door(draw, path))


RECIPES = {
    "zip bytes": damaged_zip,
    "old format": damaged_old,
    "safetensors bytes": damaged_safetensors,
    "safetensors header": safetensors_header,
    "zip members": zip_members,
    "pickle": random_pickle,
    "other things": other_things,
    "addresses": addresses,
}
