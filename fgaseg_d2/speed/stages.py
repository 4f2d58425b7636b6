"""How a forward pass divides into its stages."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .clock import wait


def stage_seconds(
    function: Callable[[], object], model: nn.Module, device: torch.device
) -> dict[str, float]:
    """Run a function once and time what the stages of the model took in it.

    Args:
        function: calls the model.
        model: an FGASeg; of a model with another head only CLIP's towers are told apart.
        device: where it computes.

    Returns:
        Seconds by stage, in the order of the flow; the last one is "everything else".
    """
    seconds: dict[str, float] = {}
    changed = []
    for name, owner, method in _stages(model):
        seconds.setdefault(name, 0.0)
        setattr(owner, method, _timed(getattr(owner, method), name, seconds, device))
        changed.append((owner, method))
    try:
        start = time.perf_counter()
        function()
        wait(device)
        total = time.perf_counter() - start
    finally:
        for owner, method in changed:
            # What was set on the object hides the class's own method.
            delattr(owner, method)
    return seconds | {"everything else": total - sum(seconds.values())}


def _stages(model: Any) -> list[tuple[str, Any, str]]:
    stages = [
        ("CLIP, text", model.text_encoder, "forward"),
        ("CLIP, picture", model.backbone, "forward"),
    ]
    head = model.sem_seg_head
    if hasattr(head, "aggregation"):
        stages += [("P2Tformer", head.p2tformer, "forward")]
        if head.local_similarity is not None:
            stages += [("LCS", head.local_similarity, "forward")]
        aggregation = head.aggregation
        stages += [("aggregation over space", part, "forward") for part in aggregation.spatial]
        stages += [("aggregation over classes", part, "forward") for part in aggregation.classes]
        stages += [
            (f"decoder, {name}", head.decoder, name) for name in ("fuse", "upsample", "classify")
        ]
    return stages


def _timed(
    method: Callable[..., Any], name: str, seconds: dict[str, float], device: torch.device
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        wait(device)
        start = time.perf_counter()
        result = method(*args, **kwargs)
        wait(device)
        seconds[name] += time.perf_counter() - start
        return result

    return call
