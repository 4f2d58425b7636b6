"""The number types of mixed precision, by name."""

from contextlib import AbstractContextManager, nullcontext

import torch

from ..wording import shown

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def amp_dtype(name: str, key: str) -> torch.dtype | None:
    """Turn a configuration's value into the type to autocast to.

    Args:
        name: "float16", "bfloat16", or "" for no autocast.
        key: the configuration key it stands under, for the message.

    Raises:
        ValueError: another name.
    """
    if name and name not in _DTYPES:
        raise ValueError(f"expected {key} {' or '.join(_DTYPES)}, got {shown(name)}")
    return _DTYPES[name] if name else None


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager:
    """Autocast to a type; with None, whatever the caller has set stays."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
