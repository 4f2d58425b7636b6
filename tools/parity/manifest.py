"""Manifests: names and shapes of the reference's parameters, compared with our models'."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from fgaseg_d2.io.json_files import read_json
from fgaseg_d2.io.regular_files import require_file
from fgaseg_d2.methods.fgaseg.catseg import is_catseg
from fgaseg_d2.methods.fgaseg.parameter_names import from_reference

from .compare import Comparison
from .measure import reference_shapes
from .settings import Settings, translate

Shapes = dict[str, tuple[int, ...]]

# Masks made at run time, counters, and CLIP's temperature, which a segmenter never uses.
_NOT_LOADED = ("attn_mask", "num_batches_tracked", "logit_scale")
_HEAD = "sem_seg_head."


def read_manifest(path: Path) -> Shapes:
    """Read the shapes of a reference model's weights.

    Args:
        path: a JSON object, reference name -> shape.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no manifest.
    """
    require_file(path, "a manifest")
    try:
        content = read_json(path)
        shapes = {str(name): tuple(map(int, shape)) for name, shape in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"expected a manifest, a JSON object of names and shapes, got {path} ({error})."
        ) from error
    return {name: shape for name, shape in shapes.items() if not name.endswith(_NOT_LOADED)}


def settings_of(shapes: Shapes) -> Settings:
    """Tell from a model's weights how it was configured.

    Args:
        shapes: by the reference's names.

    Raises:
        ValueError: weights of a model that has no counterpart here.
    """
    ours = from_reference({n: torch.empty(s, device="meta") for n, s in shapes.items()})
    try:
        patch, tokens = (
            ours["backbone.visual.conv1.weight"].shape[-1],
            ours["backbone.visual.positional_embedding"].shape[0],
        )
        size = {(16, 197): "vitb_384", (14, 577): "vitl_336"}[patch, tokens]
        head = "MODEL.SEM_SEG_HEAD."
        opts = [f"{head}NUM_LAYERS", str(_layers(ours, f"{_HEAD}aggregation.classes."))]
        opts += [f"{head}HIDDEN_DIMS", str(len(ours[f"{_HEAD}embed_global.conv.bias"]))]
        if is_catseg(ours):
            return translate(size, opts)
        rejects = any(name.startswith(f"{_HEAD}early_rejection.") for name in ours)
        fuses = f"{_HEAD}fusion.project.weight" in ours
        kernel, width = ours[f"{_HEAD}local_similarity.kernels.linear.weight"].shape
        side = round(((kernel - 1) / width) ** 0.5)
        opts += [f"{head}KERNEL_SIZE", str(side)]
        opts += [f"{head}P2T_LAYER", str(_layers(ours, f"{_HEAD}p2tformer.layers."))]
        words = f"{'fast' if rejects else 'no_fast'}_{'cat' if fuses else 'add'}"
        return translate(f"{size}_{words}", opts)
    except KeyError as error:
        raise ValueError(f"expected weights of FGA-seg or CAT-Seg, but {error} fails.") from error


def compare_manifest(shapes: Shapes) -> Comparison:
    """Compare with the model of the same configuration: how many names or shapes differ.

    Raises:
        ValueError: weights of a model that has no counterpart here.
    """
    ours = {
        name: shape
        for name, shape in reference_shapes(settings_of(shapes)).items()
        if not name.endswith(_NOT_LOADED)
    }
    wrong = sorted(n for n in shapes.keys() | ours.keys() if shapes.get(n) != ours.get(n))
    note = f"{wrong[0]}: {shapes.get(wrong[0])}, here {ours.get(wrong[0])}" if wrong else ""
    return Comparison(f"{len(shapes)} names and shapes", float(len(wrong)), 0.0, note)


def _layers(names: Mapping[str, object], prefix: str) -> int:
    """How many numbers follow a prefix."""
    pattern = re.compile(rf"{re.escape(prefix)}(\d+)\.")
    return len({match[1] for name in names if (match := pattern.match(name))})
