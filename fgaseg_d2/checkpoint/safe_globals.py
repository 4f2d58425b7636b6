"""What a checkpoint written by torch.save may hold beside tensors and plain containers.

Older training code saved NumPy numbers and arrays (a learning rate, the iteration) beside the
weights, and most trainers save their settings. ``torch.load(weights_only=True)`` refuses every
class and function that it does not know; these here only make values and run nothing from the file.
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
# Classes of settings and histories, which nothing here reads: an empty dictionary stands for each.
_SETTINGS = (
    *("argparse.Namespace", "types.SimpleNamespace", "datetime.datetime"),
    *(f"pathlib{inner}.{kind}" for inner in ("", "._local")
      for kind in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")),
    *("yacs.config.CfgNode", "fvcore.common.config.CfgNode", "detectron2.config.config.CfgNode"),
    *("easydict.EasyDict", "addict.addict.Dict", "ml_collections.config_dict.ConfigDict"),
    *(f"omegaconf.{name}" for name in (
        "dictconfig.DictConfig", "listconfig.ListConfig", "base.ContainerMetadata",
        "base.Metadata", "nodes.AnyNode", "nodes.StringNode", "nodes.IntegerNode",
        "nodes.FloatNode", "nodes.BooleanNode")),
    *(f"{package}.utilities.parsing.AttributeDict"
      for package in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")),
    *("mmcv.utils.config.ConfigDict", "mmengine.config.config.ConfigDict"),
    "mmengine.logging.history_buffer.HistoryBuffer",
    # By which that one names its methods.
    *("builtins.getattr", "typing.Any"),
)  # fmt: skip


def only_harmless_globals() -> AbstractContextManager:
    """While it is open, ``torch.load(weights_only=True)`` also reads what is listed above."""
    functions = [
        _named(f"{module}.{name}", function)
        for module in _NUMPY_MODULES
        for name, function in _NUMPY_FUNCTIONS.items()
    ]
    # torch fills only dictionaries that it knows; what a default would be, no reader here asks.
    functions += [_empty(path) for path in ("collections.defaultdict", *_SETTINGS)]
    functions.append(_named("collections.deque", lambda *_arguments: []))
    plain = [dict, list, int, float, str]
    return torch.serialization.safe_globals([*functions, np.dtype, np.ndarray, *_DTYPES, *plain])


def _named(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under another module's name, by which torch compares what a file asks for."""

    def call(*arguments: Any) -> Any:
        return function(*arguments)

    call.__module__, _, call.__qualname__ = path.rpartition(".")
    call.__name__ = call.__qualname__
    return call


def _empty(path: str) -> type:
    """A class under another's name that gives empty dictionaries, whatever it is called with."""
    module, _, name = path.rpartition(".")
    members = {"__module__": module, "__new__": lambda *_arguments: collections.OrderedDict()}
    return type(name, (), members)
