"""Sound files of torch with other contents than weights, or with more around them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bad_inputs.case import Case, Draw
from bad_inputs.checkpoint_doors import file_case, saved
from bad_inputs.doors import load_into_model
from bad_inputs.mutations import odd_value


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
    return file_case(draw, "model.pth", saved({"model": state}), text)


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

    case = file_case(draw, "model.pth", saved(content, rng.random() < 0.7), text)
    return Case(case.text, partial(door, case.door))


RECIPES = {
    "wrapped": wrapped,
    "strange tensors": strange_tensors,
    "strange contents": strange_contents,
}
