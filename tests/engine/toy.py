"""A model of a few parameters with the contract of the real ones."""

import torch
from detectron2.config import CfgNode, get_cfg
from torch import nn
from torch.nn import functional as F

from fgaseg_d2 import add_fgaseg_config


class Toy(nn.Module):
    """Pixel classifier; "CLIP" is its first layer."""

    def __init__(self):
        super().__init__()
        self.clip = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.classes = nn.Embedding(4, 8)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.noise = 0.0

    def clip_parameters(self):
        return self.clip.parameters()

    def forward(self, batch):
        images = torch.stack([sample["image"] for sample in batch])
        features = self.norm(self.clip(images))
        logits = torch.einsum("bchw,kc->bkhw", features, self.classes.weight)
        targets = torch.stack([sample["sem_seg"] for sample in batch])
        return {
            "loss_main": F.cross_entropy(logits, targets),
            "loss_noise": self.noise * torch.rand(()) * logits.square().mean(),
        }


def samples(count: int, seed: int = 0) -> list[dict]:
    """Random pictures and labels of 8 x 8 pixels."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            "image": torch.rand(3, 8, 8, generator=generator),
            "sem_seg": torch.randint(4, (8, 8), generator=generator),
        }
        for _ in range(count)
    ]


def toy_config(*opts: object) -> CfgNode:
    """The package's defaults with changes (KEY, VALUE, ...)."""
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    cfg.merge_from_list(list(opts))
    return cfg
