"""One training step of each kind of model against recorded losses and gradient norms.

The record was made by this package: it does not say that the numbers are right (the golden files do
that), but that a change of structure left them alone. A change that means to move them records anew
with `python -m tests.test_training_step`.
"""

import json
import sys
import zlib

import pytest
import torch
from torch import nn

from fgaseg_d2 import Vocabulary
from tests.conftest import ROOT, build_small

RECORD = ROOT / "tests" / "data" / "training_steps.json"
NAMES = "red house,tree,sky,dotted cat,road"
MODELS = {
    "fgaseg": (),
    "fgaseg_early_rejection": ("MODEL.FGASEG.FAST.ENABLED", True, "MODEL.FGASEG.FAST.KEEP", 2),
    "fgaseg_cross_entropy": ("MODEL.FGASEG.LOSS.MAIN", "ce", "MODEL.FGASEG.FUSION", "add"),
    "fgaseg_sampled_classes": ("MODEL.FGASEG.LOSS.SAMPLED_CLASSES", 3),
    "fgaseg_best_classes": ("MODEL.FGASEG.MAX_CLASSES", 4, "MODEL.FGASEG.LCS.ENABLED", False),
    "fgaseg_prompts": (
        *("MODEL.CLIP.FINETUNE", "prompt"),
        *("MODEL.CLIP.PROMPT_LENGTH", 2, "MODEL.CLIP.PROMPT_DEPTH", 2),
    ),
    "dense_clip": (
        *("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead", "MODEL.FGASEG.LOSS.MAIN", "ce"),
        *("MODEL.CLIP.FINETUNE", "scratch", "MODEL.CLIP.DENSE_READING", "naclip"),
    ),
    "ldvc": (
        *("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.CLIP.FINETUNE", "frozen"),
        *("MODEL.CLIP.DENSE_READING", "clip", "MODEL.LDVC.HEADS", 4),
    ),
    "ldvc_zegclip": (
        *("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.CLIP.FINETUNE", "frozen"),
        *("MODEL.CLIP.DENSE_READING", "clip", "MODEL.LDVC.HEADS", 4),
        *("MODEL.LDVC.ANCHOR", "vision", "MODEL.LDVC.CONSENSUS", "none"),
        *("MODEL.LDVC.PROMPTS", "vision"),
    ),
    "use": (
        *("MODEL.META_ARCHITECTURE", "USE", "MODEL.CLIP.FINETUNE", "frozen"),
        *("MODEL.USE.DIM", 32),
    ),
    "mgca": ("MODEL.META_ARCHITECTURE", "MGCA", "MODEL.CLIP.DENSE_READING", "maskclip"),
    "clip_pretraining": (
        *("MODEL.META_ARCHITECTURE", "CLIPPretraining", "MODEL.CLIP.FINETUNE", "scratch"),
    ),
}


# Of models that train on captions alone.
CAPTIONS = {"mgca": ("a red house and a tree", "the sky")}


def batch() -> list[dict]:
    """Two pictures of different sizes, with an ignored corner; their labels are three classes."""
    generator = torch.Generator().manual_seed(5)
    inputs = []
    for index, size in enumerate(((64, 48), (40, 72))):
        label = torch.randint(0, 3, size, generator=generator) + index
        label[:8, :8] = 255
        image = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
        words = Vocabulary.parse(NAMES)
        inputs.append({"image": image, "sem_seg": label, "vocabulary": words})
    return inputs


@torch.no_grad()
def draw_weights(model: nn.Module) -> None:
    """Weights that depend on a parameter's name alone, not on what is built before it."""
    for path, parameter in sorted(model.named_parameters()):
        generator = torch.Generator().manual_seed(zlib.crc32(path.encode()))
        centre = 1.0 if parameter.ndim == 1 and path.endswith("weight") else 0.0
        parameter.normal_(centre, 0.05, generator=generator)


def measure(name: str) -> dict[str, dict[str, float]]:
    """Losses, and the gradient norm of each part of the model, of one step from drawn weights."""
    model = build_small(*MODELS[name]).train()
    draw_weights(model)
    torch.manual_seed(3)
    inputs = batch()
    for item, caption in zip(inputs, CAPTIONS.get(name, ()), strict=False):
        item["caption"] = caption
    losses = model(inputs)
    sum(losses.values()).backward()
    squares: dict[str, float] = {}
    for path, parameter in model.named_parameters():
        if parameter.grad is not None:
            part = ".".join(path.split(".")[:2])
            squares[part] = squares.get(part, 0.0) + parameter.grad.double().square().sum().item()
    return {
        "losses": {key: loss.item() for key, loss in losses.items()},
        "gradient_norms": {part: square**0.5 for part, square in squares.items()},
    }


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients_are_those_recorded(name):
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    measured = measure(name)
    for kind, values in recorded.items():
        assert measured[kind] == pytest.approx(values, rel=2e-4, abs=1e-9), kind


if __name__ == "__main__":
    text = json.dumps({name: measure(name) for name in MODELS}, indent=1)
    RECORD.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {RECORD}\n")
