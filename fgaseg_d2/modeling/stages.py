"""What the stages of a model return, and how long they take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

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


class StageRecorder:
    """While it is open, notes what the stages of a model return, in the order of the calls.

    It sees the calls of the thread that opened it alone: others may use the model meanwhile.

    Args:
        stages: modules by name, see `OpenVocabSegmentor.stages`.
        change: name, output and what was noted so far -> what the rest of the model gets instead.
        timed: also add up seconds; waits for the GPU around each stage, which slows the whole.

    Attributes:
        outputs: name -> outputs, one for each call; tensors are not copied.
        seconds: name -> seconds of all calls, where `timed`.
    """

    def __init__(
        self,
        stages: Mapping[str, nn.Module],
        *,
        change: Change | None = None,
        timed: bool = False,
    ) -> None:
        self.stages = dict(stages)
        self.change = change
        self.timed = timed
        self.outputs: dict[str, list[Any]] = {name: [] for name in stages}
        self.seconds = dict.fromkeys(stages, 0.0) if timed else {}
        self._starts: dict[str, float] = {}
        self._handles: list[RemovableHandle] = []
        self._thread = 0

    def __enter__(self) -> StageRecorder:
        self._thread = threading.get_ident()
        for name, module in self.stages.items():
            self._handles.append(module.register_forward_hook(self._noting(name)))
            if self.timed:
                self._handles.append(module.register_forward_pre_hook(self._starting(name)))
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

    def _starting(self, name: str) -> Callable[..., None]:
        def start(_module: nn.Module, _arguments: tuple) -> None:
            if threading.get_ident() == self._thread:
                self._starts[name] = _now()

        return start

    def _noting(self, name: str) -> Callable[..., Any]:
        def note(_module: nn.Module, _arguments: tuple, output: Any) -> Any:
            if threading.get_ident() != self._thread:
                return None
            if self.timed:
                self.seconds[name] += _now() - self._starts[name]
            self.outputs[name].append(output)
            return self.change(name, output, self.outputs) if self.change else None

        return note


def _now() -> float:
    """The time when all that was asked of the GPU is done."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()
