"""What the golden files were recorded with: weights drawn from names, and a drawn picture."""

import functools
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "data" / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    """Read one golden file."""
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return dict(archive)


@functools.lru_cache(maxsize=2)
def drawn_state(manifest: str) -> dict[str, Tensor]:
    """Weights drawn from parameter names, under the reference's names."""
    shapes = json.loads((GOLDEN / f"manifest_{manifest}.json").read_text())
    return {
        name: torch.from_numpy(_draw(name, shape).astype(np.float32))
        for name, shape in shapes.items()
        if "attn_mask" not in name and "num_batches_tracked" not in name
    }


def _draw(name: str, shape: list[int]) -> np.ndarray:
    x = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        return np.exp(0.1 * x)
    if name.endswith("logit_scale"):
        return np.full(shape, np.log(1 / 0.07))
    if len(shape) == 1:
        return 1 + 0.1 * x if name.endswith("weight") else 0.1 * x
    return x / np.sqrt(np.prod(shape[1:]))


def drawn_image(height: int, width: int) -> Tensor:
    """A picture of waves: 3 x height x width, RGB, range 0..255."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = (
        np.sin(x / 23) * np.cos(y / 17),
        np.sin((x + y) / 31),
        np.cos(np.hypot(x - width / 2, y - height / 3) / 13),
    )
    return torch.from_numpy(np.round(127.5 * (1 + np.stack(waves))).astype(np.float32))
