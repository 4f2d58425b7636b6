"""Bad CLIP files: TorchScript archives and checkpoints, damaged, of another model, or none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bad_inputs.case import Case, Draw
from bad_inputs.checkpoint_contents import Program, strange_tensor
from bad_inputs.checkpoint_doors import saved
from bad_inputs.doors import assert_finite
from bad_inputs.material import open_clip_state
from bad_inputs.mutations import cut, damaged
from fgaseg_d2.modeling.towers.loading import load_clip


class _Tree(nn.Module):
    """Named tensors as a module that torch.jit.script takes."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name in dict.fromkeys(name.partition(".")[0] for name in state):
            inner = {
                n.partition(".")[2]: t for n, t in state.items() if n.partition(".")[0] == name
            }
            if "" in inner:
                self.register_buffer(name, inner[""])
            else:
                self.add_module(name, _Tree(inner))

    def forward(self, x: Tensor) -> Tensor:
        """What a program needs to be one."""
        return x


def torchscript(draw: Draw) -> Case:
    """A CLIP as a TorchScript archive with wrong bytes."""
    few = dict(list(open_clip_state(draw.material).items())[:12])
    few = {name: tensor for name, tensor in few.items() if tensor.numel() < 10_000}
    torch.jit.save(torch.jit.script(_Tree(few)), stream := io.BytesIO())
    data = damaged(draw.rng, stream.getvalue()) if draw.rng.random() < 0.9 else stream.getvalue()
    return _clip_case(draw, draw.write("clip.pt", data), "damage")


def clip_files(draw: Draw) -> Case:
    """A CLIP file that is damaged, of another model, or none."""
    rng = draw.rng
    state: dict[str, Any] = dict(open_clip_state(draw.material))
    what = rng.choice(("damage", "cut", "lacks", "shape", "strange", "objects", "wrapped"))
    name = rng.choice(list(state))
    if what == "lacks":
        del state[name]
    elif what == "shape":
        state[name] = torch.ones(3, 5)
    elif what == "strange":
        state[name] = strange_tensor(rng)
    elif what == "objects":
        state["x"] = Program()
    content = {"state_dict": state} if what == "wrapped" else state
    data = saved(content)
    if what == "damage":
        data = damaged(rng, data)
    elif what == "cut":
        data = cut(rng, data)
    path = draw.write(rng.choice(("clip.pt", "clip.bin", "clip.safetensors")), data)
    return _clip_case(draw, path, f"{what} {name}")


def _clip_case(draw: Draw, path: Path, text: str) -> Case:
    name = str(draw.material.clip_file)
    return Case(
        f"{path.name} {text}", lambda: assert_finite(load_clip(name, str(path)).state_dict())
    )


RECIPES = {"TorchScript": torchscript, "CLIP files": clip_files}
