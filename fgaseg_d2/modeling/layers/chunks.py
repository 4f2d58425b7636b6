"""Many maps, a few at a time: memory that does not grow, and results that stay in the cache."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Elements of the first tensor that go through a function together. A CPU is fastest when what the
# steps of the function leave, several times as much, fits its cache; other devices want enough
# work to fill them.
_ELEMENTS = {"cpu": 2**19}
_ELEMENTS_ELSEWHERE = 2**25


def in_chunks(
    function: Callable[..., Tensor],
    *tensors: Tensor | None,
    dim: int = 1,
    recompute: bool = False,
) -> Tensor:
    """``function(*tensors)`` for a function that treats the slices along `dim` one by one.

    Without gradients the tensors go through it chunk by chunk, with gradients in one piece, and so
    under ``torch.jit.trace``, which would keep the number of chunks.

    Args:
        function: takes the tensors, returns one of the same length along `dim`.
        tensors: of equal length along `dim`; None instead of any but the first is passed on.
        dim: the dimension that is cut.
        recompute: with gradients go chunk by chunk too, and compute each again in the backward
            pass instead of keeping what its steps leave.
    """
    if torch.jit.is_tracing():
        return function(*tensors)
    if not torch.is_grad_enabled():
        return _collect(function, tensors, dim)
    if not recompute:
        return function(*tensors)
    parts = [checkpoint(function, *part, use_reentrant=False) for part in _cut(tensors, dim)]
    return torch.cat(parts, dim)


def _cut(tensors: tuple[Tensor | None, ...], dim: int) -> Iterator[tuple[Tensor | None, ...]]:
    first = tensors[0]
    assert first is not None
    length = first.shape[dim]
    budget = _ELEMENTS.get(first.device.type, _ELEMENTS_ELSEWHERE)
    size = max(1, budget * length // max(1, first.numel()))
    for start in range(0, length, size):
        count = min(size, length - start)
        yield tuple(None if x is None else x.narrow(dim, start, count) for x in tensors)


def _collect(
    function: Callable[..., Tensor], tensors: tuple[Tensor | None, ...], dim: int
) -> Tensor:
    """The chunks' results, written into one tensor as they come."""
    first = tensors[0]
    assert first is not None
    length, done, out = first.shape[dim], 0, None
    for part in _cut(tensors, dim):
        result = function(*part)
        count = result.shape[dim]
        if count == length:
            return result
        if out is None:
            shape = list(result.shape)
            shape[dim] = length
            out = result.new_empty(shape)
        out.narrow(dim, done, count).copy_(result)
        done += count
    assert out is not None
    return out
