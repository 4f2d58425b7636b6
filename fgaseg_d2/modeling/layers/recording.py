"""Operations that ``torch.jit.trace`` and its like record instead of only running them.

What is recorded runs again elsewhere and on other sizes. So it must hold torch's public operators
alone, and neither a loop nor a choice that the sizes of one example decide.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor


def is_recorded() -> bool:
    """Whether this call is recorded: by torch.jit.trace, torch.export or torch.compile."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def without_recording(
    function: Callable[..., Tensor], *arguments: Any, device: torch.device
) -> Tensor:
    """``function(*arguments)`` as a constant for what ``torch.jit.trace`` records, no gradients.

    Args:
        device: where it computes, and may do so in autocast.
    """
    enabled = torch.is_autocast_enabled(device.type)
    dtype = torch.get_autocast_dtype(device.type)

    def run() -> Tensor:
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled):
            return function(*arguments)

    # Tracing follows one thread, as do autocast and the mode of gradients: this is another one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def largest(scores: Tensor, count: int) -> Tensor:
    """Indices of the `count` largest scores along dimension 1, or of all where there are fewer."""
    if torch.jit.is_tracing():
        # Where the example has more than `count`, another input may have fewer.
        return scores.argsort(1, descending=True)[:, :count]
    return scores.topk(min(count, scores.shape[1]), dim=1).indices
