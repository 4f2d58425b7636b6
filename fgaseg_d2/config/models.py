"""The models that are known by a name: what they are, under which licence, and what was published.

A model's name is that of its configuration, which has the rest: where the weights are, with their
SHA-256 where it is known, and the protocol of the published figures.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..wording import shown

PHOTOGRAPHS, DRAWINGS = "photographs", "drawings"
# For photographs, with a head that was trained on them.
FOR_PHOTOGRAPHS = "catseg_vitb16"


@dataclass(frozen=True)
class KnownModel:
    """A model that a word chooses.

    Attributes:
        name: of the model, and of the bundled configuration.
        method: what makes a segmentation of CLIP's maps.
        tower: CLIP's image tower.
        license: of the weights.
        megabytes: of the weights (10^6 bytes), which are fetched; 0 for those in the package.
        knows: the pictures that it was trained on, "photographs" or "drawings".
        figures: published mIoU in percent, by test set.
        source: where the figures were published.
    """

    name: str
    method: str
    tower: str
    license: str
    megabytes: int
    knows: str
    figures: Mapping[str, float]
    source: str


_BENCHMARKS = ("A-847", "PC-459", "A-150", "PC-59", "PAS-20", "PAS-20b")
# The sets without background of those who read CLIP without training, Cityscapes aside.
_WITHOUT_TRAINING = ("PAS-20", "PC-59", "COCO-Stuff", "A-150")


def _catseg(name: str, tower: str, megabytes: int, figures: Sequence[float]) -> KnownModel:
    return KnownModel(
        name=name,
        method="CAT-Seg",
        tower=f"CLIP {tower}",
        license="MIT",
        megabytes=megabytes,
        knows=PHOTOGRAPHS,
        figures=dict(zip(_BENCHMARKS, figures, strict=True)),
        source="CAT-Seg (CVPR 2024)",
    )


def _reading(name: str, method: str, source: str, figures: Sequence[float]) -> KnownModel:
    return KnownModel(
        name=name,
        method=method,
        tower="CLIP ViT-B/16 alone",
        license="MIT (OpenAI)",
        megabytes=599,
        knows=PHOTOGRAPHS,
        figures=dict(zip(_WITHOUT_TRAINING, figures, strict=True)),
        source=source,
    )


def _drawn(name: str, method: str, figures: Mapping[str, float], source: str) -> KnownModel:
    """A small model that was trained on Storybook and comes with the package."""
    return KnownModel(
        name=name,
        method=method,
        tower="an own small CLIP ViT/8",
        license="Apache-2.0",
        megabytes=0,
        knows=DRAWINGS,
        figures=figures,
        source=source,
    )


_STORYBOOK = {"Storybook, seen phrases": 83.6, "unseen ones": 88.6, "nouns": 82.8}
MODELS: Mapping[str, KnownModel] = {
    model.name: model
    for model in (
        _drawn("tiny", "FGAseg", _STORYBOOK, "docs/MODEL_CARD.md"),
        _drawn("ldvc_tiny", "LDVC", {"Storybook, seen and unseen": 32.9}, "docs/MODEL_CARD.md"),
        _drawn("mgca_tiny", "MGCA", {"Storybook, nouns": 48.4}, "docs/MODEL_CARD.md"),
        _drawn("use_tiny", "USE", {"Storybook, pixel accuracy": 79.4}, "docs/MODEL_CARD.md"),
        _catseg("catseg_vitb16", "ViT-B/16 at 384", 819, (12.0, 19.0, 31.8, 57.5, 94.6, 77.3)),
        _catseg("catseg_vitl14", "ViT-L/14 at 336", 2300, (16.0, 23.8, 37.9, 63.3, 97.0, 82.5)),
        _reading("maskclip_vitb16", "MaskCLIP", "as run by others", (74.9, 26.4, 16.7, 11.9)),
        _reading("sclip_vitb16", "SCLIP", "paper (ECCV 2024)", (80.4, 34.2, 22.4, 16.1)),
        _reading(
            *("naclip_vitb16", "NACLIP", "as quoted by others, without PAMR"),
            (79.7, 35.2, 23.3, 17.4),
        ),
        _reading("clearclip_vitb16", "ClearCLIP", "as quoted by others", (80.9, 35.9, 23.9, 16.7)),
    )
}


def known_model(name: str) -> KnownModel:
    """The model of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(MODELS)}"
        raise ValueError(f"expected the name of a model, got {shown(name)}; {hint}")
    return MODELS[name]
