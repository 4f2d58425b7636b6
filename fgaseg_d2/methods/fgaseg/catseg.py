"""CAT-Seg inside FGAseg: what a CAT-Seg checkpoint lacks, set so that the result is CAT-Seg's.

FGAseg is CAT-Seg (https://arxiv.org/abs/2303.11797) with parts added. The parts keep their initial
values, and the places where they join the old flow let only the old flow through.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_HEAD = "sem_seg_head."
_ADDED = tuple(
    _HEAD + part
    for part in (
        "p2tformer.",
        "t2p.",
        "local_similarity.",
        "embed_local.",
        "fusion.",
        "decoder.fuse1.",
        "decoder.fuse2.",
        "decoder.local_up.",
        "early_rejection.",
    )
)
_COMMON = tuple(_HEAD + part for part in ("embed_global.", "aggregation.", "decoder.up1."))
_GAMMA = f"{_HEAD}p2tformer.gamma"


def is_added(name: str) -> bool:
    """Whether a parameter of FGAseg belongs to a part that CAT-Seg does not have."""
    return name.startswith(_ADDED)


def is_catseg(names: Iterable[str]) -> bool:
    """Whether a checkpoint (names of this package) holds CAT-Seg: the common parts and no other."""
    names = list(names)
    return all(any(n.startswith(part) for n in names) for part in _COMMON) and not any(
        is_added(name) for name in names
    )


def complete_catseg(state: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add to CAT-Seg's weights what FGAseg has beside them, so that it computes the same.

    gamma becomes 0, so that text is not changed by pixels; each fusion becomes the identity on the
    global half and zero on the local half. All other added parts keep the model's values. Gradients
    reach gamma and the local halves of the fusions in the first step, and what lies behind them
    (P2Tformer layers, LCS) from the second on, when these are no longer zero.

    Args:
        state: CAT-Seg's weights under the names of this package.
        model: the state dict of the FGAseg to fill.

    Returns:
        `state` and the added parts of `model`.

    Raises:
        ValueError: the model adds the local maps (FUSION "add"), which has no neutral weights.
    """
    added = {name: tensor for name, tensor in model.items() if is_added(name)}
    if f"{_HEAD}embed_local.conv.weight" in added and f"{_HEAD}fusion.project.weight" not in added:
        raise ValueError(
            'expected MODEL.FGASEG.FUSION "cat" for a CAT-Seg checkpoint, got "add", with which '
            "FGAseg cannot compute what CAT-Seg does; set it to cat, or MODEL.FGASEG.LCS.ENABLED "
            "to False."
        )
    for name, tensor in added.items():
        if name == _GAMMA:
            added[name] = torch.zeros_like(tensor)
        elif name.endswith(".project.weight"):
            added[name] = torch.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device)
        elif name.endswith(".project.bias"):
            added[name] = torch.zeros_like(tensor)
    return {**state, **added}
