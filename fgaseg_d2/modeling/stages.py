"""What the stages of a model return."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

_Opened = TypeVar("_Opened", bound="Hooked")
Change = Callable[[str, Any, Mapping[str, list[Any]]], Any]


class Stage(nn.Module):
    """A function as a module without parameters, so that it can be recorded.

    Args:
        function: what the stage computes.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *arguments: Any) -> Any:
        """Call the function."""
        return self.function(*arguments)


class Hooked:
    """While it is open, is told of the calls of modules, by forward hooks.

    It sees the calls of the thread that opened it alone: others may use the model meanwhile.

    Args:
        modules: by name.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = dict(modules)
        self._handles: list[RemovableHandle] = []
        self._thread = 0

    def before(self, name: str, arguments: tuple) -> None:
        """A module is about to be called."""

    def after(self, name: str, arguments: tuple, output: Any) -> Any:
        """A module has returned; what this returns, if not None, takes the output's place."""
        raise NotImplementedError

    def __enter__(self: _Opened) -> _Opened:
        self._thread = threading.get_ident()
        for name, module in self.modules.items():
            self._handles += [
                module.register_forward_pre_hook(self._told(self.before, name)),
                module.register_forward_hook(self._told(self.after, name)),
            ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _told(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, *values: Any) -> Any:
            if threading.get_ident() != self._thread:
                return None
            return method(name, *values)

        return hook


class StageRecorder(Hooked):
    """While it is open, notes what the stages of a model return, in the order of the calls.

    Args:
        stages: modules by name, see `OpenVocabSegmentor.stages`.
        change: name, output and what was noted so far -> what the rest of the model gets instead.

    Attributes:
        outputs: name -> outputs, one for each call; tensors are not copied.
    """

    def __init__(self, stages: Mapping[str, nn.Module], *, change: Change | None = None) -> None:
        super().__init__(stages)
        self.change = change
        self.outputs: dict[str, list[Any]] = {name: [] for name in stages}

    def after(self, name: str, arguments: tuple, output: Any) -> Any:
        """Note the output."""
        self.outputs[name].append(output)
        return self.change(name, output, self.outputs) if self.change else None


def now() -> float:
    """The time in seconds when all that was asked of the GPU is done."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()
