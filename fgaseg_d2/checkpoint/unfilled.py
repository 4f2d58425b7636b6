"""Models that are built without the random numbers that a checkpoint replaces anyway.

Drawing them takes longer than all else in the building of a CLIP.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_RANDOM_FILLS = {
    *(torch.Tensor.normal_, torch.Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_),
    *(nn.init.kaiming_normal_, nn.init.kaiming_uniform_),
    *(nn.init.xavier_normal_, nn.init.xavier_uniform_),
}
# What libraries make of random numbers where they lie: timm's truncated normal distribution, scales
# by depth. It says nothing of numbers that were not drawn, and takes as long as drawing them.
_REFINEMENTS = {
    *(torch.Tensor.erfinv_, torch.Tensor.clamp_),
    *(torch.Tensor.mul_, torch.Tensor.div_, torch.Tensor.add_),
}
# How torch's truncated normal distribution finds what to draw again, until nothing is left to.
_COMPARISONS = {
    *(torch.Tensor.lt, torch.Tensor.gt),
    *(torch.Tensor.__lt__, torch.Tensor.__gt__),
}
_MARK = "left_unfilled"


class _WithoutRandomFills(TorchFunctionMode):
    """Leaves tensors as they are where random numbers would be written into them.

    Attributes:
        left: these tensors, as far as something still refers to them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left: list[weakref.ref[Tensor]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run any other function of torch as usual."""
        if func in _RANDOM_FILLS:
            tensor = args[0] if args else kwargs["tensor"]
            setattr(tensor, _MARK, True)
            self.left.append(weakref.ref(tensor))
            return tensor
        if func in _REFINEMENTS and hasattr(args[0], _MARK):
            return args[0]
        if func in _COMPARISONS and hasattr(args[0], _MARK):
            return torch.zeros_like(args[0], dtype=torch.bool)
        return func(*args, **(kwargs or {}))


class UnfilledModel:
    """A model for a checkpoint that is expected to fill all of it.

    Args:
        build: makes the model, from the same random numbers the same one; it may be called twice.

    Attributes:
        model: its weights have no meaning yet.
    """

    def __init__(self, build: Callable[[], nn.Module]) -> None:
        self._build, self._random_state = build, torch.get_rng_state()
        with _WithoutRandomFills() as fills:
            self.model = build()
        left = [tensor for reference in fills.left if (tensor := reference()) is not None]
        for tensor in left:
            # Some are filled twice.
            vars(tensor).pop(_MARK, None)
        if not _places(left) <= _places(self.model.state_dict().values()):
            # Something that no checkpoint brings, such as a table that is not saved.
            torch.set_rng_state(self._random_state)
            self.model = build()

    def fill(self) -> None:
        """Give the model the initial values that it would have had."""
        torch.set_rng_state(self._random_state)
        self.model.load_state_dict(self._build().state_dict())


def _places(tensors: Iterable[Tensor]) -> set[int]:
    """Where tensors lie in memory."""
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}
