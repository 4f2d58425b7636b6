"""Bad checkpoints: damaged files of every format, wrapped and foreign contents, other things."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from bad_inputs.case import Case, Draw
from bad_inputs.doors import assert_finite, command, load_into_model
from bad_inputs.material import picture_bytes
from bad_inputs.mutations import damaged, odd_value
from fgaseg_d2.checkpoint_files import read_checkpoint


def saved(content: Any, zipped: bool = True) -> bytes:
    """The bytes of a file of torch.save, in its present or its former format."""
    torch.save(content, stream := io.BytesIO(), _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _door(draw: Draw, path: Path | str) -> Callable[[], int | None]:
    """One of the doors that take a checkpoint."""
    path = str(path)
    return draw.rng.choice(
        (
            lambda: assert_finite(read_checkpoint(path)["model"]),
            lambda: assert_finite(read_checkpoint(path)["model"]),
            partial(load_into_model, draw.material, path),
            partial(command, "convert_checkpoint", [path, "converted.safetensors"]),
        )
    )


def _file(draw: Draw, name: str, data: bytes, text: str) -> Case:
    return Case(text, _door(draw, draw.write(name, data)))


def damaged_zip(draw: Draw) -> Case:
    """A .pth in torch's present format with wrong bytes, often in its directory."""
    data = saved({"model": draw.material.small_state})
    start = draw.rng.choice((0, 0, data.rfind(b"PK\5\6"), data.find(b"PK\1\2")))
    return _file(draw, "model.pth", damaged(draw.rng, data, start), f"damage from byte {start}")


def damaged_old(draw: Draw) -> Case:
    """A .pth in torch's former format with wrong bytes."""
    data = saved({"model": draw.material.small_state}, zipped=False)
    return _file(draw, "model.pth", damaged(draw.rng, data), "damage")


def damaged_safetensors(draw: Draw) -> Case:
    """A .safetensors with wrong bytes, mostly in its header."""
    data = safetensors.torch.save(draw.material.small_state)
    (length,) = struct.unpack("<Q", data[:8])
    end = draw.rng.choice((8, 8 + length, 8 + length, len(data)))
    return _file(
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
    return _file(draw, "model.safetensors", data, f"{field} {str(value)[:60]}, length {stated}")


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
    return _file(draw, "model.pth", stream.getvalue(), f"{action} {victim} ({new[:20]})")


def wrapped(draw: Draw) -> Case:
    """A sound checkpoint as other trainers wrap it: prefixes, levels, entries of their own."""
    rng = draw.rng
    state: dict[str, Any] = dict(draw.material.state)
    prefixes = ("module.", "_orig_mod.", "model.", "_fsdp_wrapped_module.", "net.", "student.")
    text = []
    for prefix in rng.choices(prefixes, k=rng.randrange(4)):
        state = {f"{prefix}{name}": value for name, value in state.items()}
        text.append(prefix)
    if rng.random() < 0.5:
        extra = rng.choice(("n_averaged", "logit_bias", "_metadata", "epoch", "extra_state"))
        state[extra] = rng.choice((torch.tensor(3), 3, "x", None, torch.zeros(2)))
        text.append(extra)
    content: Any = state
    for key in rng.choices(
        ("model", "state_dict", "model_ema", "module", "ema"), k=rng.randint(0, 3)
    ):
        content = {key: content, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}}
        text.append(f"[{key}]")
    path = draw.write("model.pth", saved(content, rng.random() < 0.8))
    return Case(" ".join(text) or "as it is", partial(load_into_model, draw.material, str(path)))


def strange_tensor(rng: random.Random) -> Any:
    """A tensor of a kind that no weights are."""
    one = torch.ones(4)
    return rng.choice(
        (
            lambda: torch.full((4,), float("nan")),
            lambda: torch.full((4,), float("inf")).half(),
            lambda: torch.ones(4, dtype=torch.int64),
            lambda: one > 0,
            lambda: torch.complex(one, one),
            lambda: one.to_sparse(),
            lambda: torch.eye(4).to_sparse_csr(),
            lambda: torch.quantize_per_tensor(one, 0.1, 0, torch.qint8),
            lambda: one.to("meta"),
            lambda: torch.empty(0),
            lambda: torch.ones(()),
            lambda: nn.Parameter(one),
            lambda: torch.nested.nested_tensor([one, one[:2]]),
            lambda: one.to(torch.float8_e4m3fn),
            lambda: torch.ones(1).expand(10**9),
            lambda: one.numpy(),
            lambda: one.double() * 1e300,
        )
    )()


def strange_tensors(draw: Draw) -> Case:
    """Some tensors of a kind that no weights are."""
    rng = draw.rng
    source = rng.choice((draw.material.state, draw.material.small_state))
    state: dict[str, Any] = dict(source)
    text = ""
    for name in rng.sample(list(state), rng.choice((1, 2, len(state)))):
        value = strange_tensor(rng)
        text = f"{name} = {type(value).__name__} {getattr(value, 'dtype', '')}"
        if type(value) is Tensor and _is_plain(value) and value.shape == (4,):
            # Of the right shape, so that nothing but the values speaks against it.
            value = value[0].expand(state[name].shape).clone()
        state[name] = value
    return _file(draw, "model.pth", saved({"model": state}), text)


def _is_plain(tensor: Tensor) -> bool:
    """Whether it has numbers, one after the other."""
    strided = tensor.layout is torch.strided and tensor.device.type == "cpu"
    return strided and not tensor.is_quantized and not tensor.is_nested


class Program:
    """An object that would run something when it is read."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("executed",)


def strange_contents(draw: Draw) -> Case:
    """A file of torch.save that holds something else."""
    rng = draw.rng
    tensor = torch.ones(2)
    deep: Any = tensor
    for _ in range(rng.choice((50, 400))):
        deep = {"model": deep}
    circle: dict[str, Any] = {"a": tensor}
    circle["model"] = circle
    content = rng.choice(
        (
            *(None, 3, "text", [], {}, [tensor], tensor, {"model": None}, {"model": [tensor]}),
            *(
                {1: tensor},
                {("a", "b"): tensor},
                {b"a": tensor},
                {"": tensor},
                {"a" * 9999: tensor},
            ),
            *({"model": {"a": {"b": tensor}}}, {"model": {"a": odd_value(rng)}}, deep, circle),
            *({"model": Program()}, {"a": tensor, "b": Program()}, nn.Linear(2, 2)),
            *({"model": {"\n\u2028": tensor}}, {"state_dict": {"model": tensor}}, Path("x")),
        )
    )
    text = f"{type(content).__name__} {str(content)[:60]!r}" if content is not circle else "circle"

    def door(inner: Callable[[], int | None]) -> int | None:
        try:
            return inner()
        finally:
            assert not Path("executed").exists(), "the file's program ran"

    case = _file(draw, "model.pth", saved(content, rng.random() < 0.7), text)
    return Case(case.text, partial(door, case.door))


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
    return _file(draw, "model.pth", stream.getvalue(), "damaged data.pkl")


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
    return Case(f"{what} {name} {content[:20]!r}", _door(draw, path))


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
    return Case(repr(path)[:80], _door(draw, path))


RECIPES = {
    "zip bytes": damaged_zip,
    "old format": damaged_old,
    "safetensors bytes": damaged_safetensors,
    "safetensors header": safetensors_header,
    "zip members": zip_members,
    "wrapped": wrapped,
    "strange tensors": strange_tensors,
    "strange contents": strange_contents,
    "pickle": random_pickle,
    "other things": other_things,
    "addresses": addresses,
}
