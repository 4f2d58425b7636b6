"""Weights that begin as copies of others, and are copied anew where those are loaded alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def copy_after_loading(
    module: nn.Module, *, source: str, copies: Sequence[str], copy: Callable[[Any], None]
) -> None:
    """Copy weights of a module anew behind every state that brings their source without them.

    They are then not among the missing keys.

    Args:
        module: of which states are loaded, as a whole or as a part of another.
        source: what the names of the weights that are copied begin with, within the module.
        copies: names of the copies there.
        copy: makes them, of the module; a function of a file, so that modules can be pickled.
    """
    hooks = _Hooks(source, copies, copy)
    module.register_load_state_dict_pre_hook(hooks.note_what_comes)
    module.register_load_state_dict_post_hook(hooks.copy_anew)


class _Hooks:
    """A pair of hooks, the first of which tells the second where to begin.

    Args:
        source, copies, copy: see `copy_after_loading`.
    """

    def __init__(self, source: str, copies: Sequence[str], copy: Callable[[Any], None]) -> None:
        self.source, self.copies, self.copy = source, tuple(copies), copy
        self.prefix: str | None = None

    def note_what_comes(
        self, module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any
    ) -> None:
        """Before a state is loaded."""
        source = any(name.startswith(prefix + self.source) for name in state)
        copies = any(prefix + name in state for name in self.copies)
        self.prefix = prefix if source and not copies else None

    def copy_anew(self, module: nn.Module, incompatible: Any) -> None:
        """Behind it."""
        prefix, self.prefix = self.prefix, None
        if prefix is None:
            return
        with torch.no_grad():
            self.copy(module)
        for name in self.copies:
            if prefix + name in incompatible.missing_keys:
                incompatible.missing_keys.remove(prefix + name)
