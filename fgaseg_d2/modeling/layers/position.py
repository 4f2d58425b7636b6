"""Position encodings."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]


def sine_encoding(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """Two-dimensional sine encoding, normalised to 2 pi, as in DETR.

    Args:
        channels: C, a multiple of 4; half of them encode y, then half x, sine and cosine in turn.

    Returns:
        height x width x C, float32.
    """
    features = channels // 2
    index = torch.arange(features, device=device)
    period = 10000.0 ** (2 * (index // 2) / features)

    def encode(length: int) -> Tensor:
        position = torch.arange(1, length + 1, device=device) / (length + 1e-6) * (2 * math.pi)
        angle = position[:, None] / period
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    y = encode(height)[:, None].expand(-1, width, -1)
    x = encode(width)[None].expand(height, -1, -1)
    return torch.cat((y, x), dim=2)


def resize_grid_embedding(
    embedding: Tensor, old: Size, new: Size, *, front: int = 1, antialias: bool = False
) -> Tensor:
    """Resize a learned position embedding that begins with that of tokens without a place.

    Args:
        embedding: (front + h * w) x C.
        old: its height h and width w.
        new: the height and width wanted.
        front: tokens without a place, such as CLS.
        antialias: smooth, as timm does; it is another kernel also where a grid grows.

    Returns:
        (front + height * width) x C; bicubic, corners not aligned.
    """
    if tuple(old) == tuple(new):
        return embedding
    first, grid = embedding[:front], embedding[front:]
    grid = grid.reshape(1, *old, -1).permute(0, 3, 1, 2)
    # Bicubic interpolation has no bfloat16 kernel on every device.
    grid = F.interpolate(
        grid.float(), tuple(new), mode="bicubic", align_corners=False, antialias=antialias
    )
    return torch.cat((first, grid.to(first.dtype).flatten(2).squeeze(0).T))
