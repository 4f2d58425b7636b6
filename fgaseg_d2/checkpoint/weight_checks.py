"""What tensors of a checkpoint must be before they become the weights of a model."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..wording import plain

_LONGEST_NAME = 60  # characters
_MOST_TIMES, _SMALL = 8, 2**26  # bytes of tensors for each of the file, and beside that
# Counters, tables of positions, and names as bytes; all other tensors of models are weights.
_WHOLE_NUMBERS = ("num_batches_tracked", "relative_position_index", "position_ids", "seen.packed")


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor holds its values one beside the other, in memory."""
    return (
        tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and not tensor.is_nested
    )


def check_plain(name: str, tensor: Tensor, source: str) -> None:
    """Refuse a sparse, quantised, nested or meta tensor as a weight.

    Args:
        name: of the tensor.
        tensor: as it came from the file.
        source: what messages call the file.

    Raises:
        ValueError: it is one of these.
    """
    if is_plain(tensor):
        return
    if tensor.is_quantized:
        kind = f"a quantised one ({tensor.dtype}); save it with .dequantize()"
    elif tensor.is_nested:
        kind = "a nested one; save its parts"
    elif tensor.layout != torch.strided:
        kind = f"a sparse one ({tensor.layout}); save it with .to_dense()"
    else:
        kind = f"one on device '{tensor.device}', without values; save the model that was trained"
    raise ValueError(
        f"expected plain tensors in {plain(source)}, got {plain(name, _LONGEST_NAME)}, {kind}."
    )


def check_values(
    state: Mapping[str, Tensor], source: str, model: Mapping[str, Tensor] | None = None
) -> None:
    """Refuse weights that are not numbers (NaN, Inf) or of a kind that weights do not have.

    Args:
        state: plain tensors by name.
        source: what messages call the file.
        model: the tensors that they go into, which say the kinds; None where there is none.

    Raises:
        ValueError: some cannot be weights; the message says how many, and names one.
    """
    wrong: dict[str, list[str]] = {}
    for name, tensor in state.items():
        if problem := _problem(name, tensor, None if model is None else model[name].dtype):
            wrong.setdefault(problem, []).append(name)
    if wrong:
        found = ", ".join(
            f"{problem} in {len(names)} of {len(state)} tensors "
            f"({plain(names[0], _LONGEST_NAME)}{', ...' if len(names) > 1 else ''})"
            for problem, names in list(wrong.items())[:2]
        )
        raise ValueError(
            f"expected finite floating-point numbers as weights in {plain(source)}, got {found}; "
            "take an earlier checkpoint, or save it again."
        )


def check_size(state: Mapping[str, Tensor], size: int, source: str) -> None:
    """Refuse tensors that stand for very many more numbers than their file holds.

    Tensors may share their values, and repeat them (``expand``).

    Args:
        state: plain tensors by name.
        size: of the file, in bytes.
        source: what messages call the file.

    Raises:
        ValueError: together they are above the bound.
    """
    total, bound = sum(tensor.nbytes for tensor in state.values()), _MOST_TIMES * size + _SMALL
    if total > bound:
        raise ValueError(
            f"expected tensors of {bound:,} bytes at most in {plain(source)}, a file of {size:,}, "
            f"got {total:,}; save them with .contiguous()."
        )


def _problem(name: str, tensor: Tensor, wanted: torch.dtype | None) -> str:
    """What is wrong with a tensor, "" for nothing."""
    if wanted is None:
        counts = name.endswith(_WHOLE_NUMBERS) and not tensor.is_floating_point()
        wanted = tensor.dtype if counts or tensor.is_floating_point() else torch.float32
    is_other = wanted.is_floating_point and not tensor.is_floating_point()
    if tensor.is_complex() or is_other:
        return f"values of type {str(tensor.dtype).removeprefix('torch.')}"
    if not tensor.is_floating_point() or not tensor.numel():
        return ""
    # Also what is too large for the model's type.
    if tensor.dtype != wanted and wanted.is_floating_point:
        tensor = tensor.to(wanted)
    # Not a number becomes both; one pass, and no second tensor in memory.
    if tensor.dtype.itemsize == 1:
        tensor = tensor.float()
    least, most = tensor.aminmax()
    if least.isfinite() and most.isfinite():
        return ""
    return "NaN" if least.isnan() else "infinite values"
