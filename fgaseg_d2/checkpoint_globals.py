"""What a checkpoint written by torch.save may hold beside tensors and plain containers.

Older training code saved NumPy numbers and arrays (a learning rate, the iteration) beside the
weights. ``torch.load(weights_only=True)`` refuses every class and function that it does not know;
these here only make values and run nothing from the file.
"""

import collections
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

# NumPy 2 moved these two functions; a file names them as the NumPy that wrote it did.
_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMPY_FUNCTIONS = {
    "scalar": np.float64().__reduce__()[0],
    "_reconstruct": np.empty(0).__reduce__()[0],
}
# No object arrays: these would hold anything.
_DTYPES = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"]


def only_harmless_globals() -> AbstractContextManager:
    """While it is open, ``torch.load(weights_only=True)`` also reads NumPy's numbers and arrays."""
    functions = [
        _named(f"{module}.{name}", function)
        for module in _NUMPY_MODULES
        for name, function in _NUMPY_FUNCTIONS.items()
    ]
    # torch fills only dictionaries that it knows; what a default would be, no reader here asks.
    functions.append(_named("collections.defaultdict", lambda *_factory: collections.OrderedDict()))
    plain = [dict, list, int, float, str]
    return torch.serialization.safe_globals([*functions, np.dtype, np.ndarray, *_DTYPES, *plain])


def _named(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under another module's name, by which torch compares what a file asks for."""

    def call(*arguments: Any) -> Any:
        return function(*arguments)

    call.__module__, _, call.__qualname__ = path.rpartition(".")
    call.__name__ = call.__qualname__
    return call
