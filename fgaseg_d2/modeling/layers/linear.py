"""Linear layers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import register_flop_formula

from .recording import is_recorded

_ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}
# Inductor's building block: oneDNN's matrix product and an activation in one pass.
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
if _ONEDNN is not None:

    @register_flop_formula(_ONEDNN)
    def _onednn_flop(x: Sequence[int], weight: Sequence[int], *_: object, **__: object) -> int:
        """Operations of oneDNN's product, for torch's FlopCounterMode: shapes of the arguments."""
        return 2 * math.prod(x) * weight[0]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none") -> Tensor:
    """``F.linear`` and an activation.

    On a CPU, in float32 and without gradients, oneDNN computes it: as exact as the BLAS behind
    ``F.linear``, up to twice as fast, and the activation costs no pass of its own.

    Args:
        x: ... x in_features.
        weight: out_features x in_features.
        bias: out_features.
        then: the activation, "none", "relu" or "gelu".

    Returns:
        ... x out_features.
    """
    if _ONEDNN is not None and _suits_onednn(x, weight):
        # Its algorithm for GELU is named "none" where it is not the approximation.
        return _ONEDNN(x, weight.contiguous(), bias, then, [], "none")
    return _ACTIVATIONS[then](F.linear(x, weight, bias))


def _suits_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        # torch.compile makes this call itself where it pays, and other recorders do not know it.
        not is_recorded()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


class Linear(nn.Linear):
    """``nn.Linear`` by way of :func:`linear`."""

    @classmethod
    def like(cls, layer: nn.Linear) -> "Linear":
        """The same layer, with the parameters of `layer` itself."""
        same = cls(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        same.weight, same.bias = layer.weight, layer.bias
        return same

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> "Linear":
        """A layer with copies of a weight, out_features x in_features, and of a bias."""
        layer = cls(weight.shape[1], weight.shape[0], bias is not None, device="meta")
        layer.weight = nn.Parameter(weight.detach().clone())
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone())
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """... x in_features -> ... x out_features."""
        return linear(input, self.weight, self.bias)


class MLP(nn.Sequential):
    """Two linear layers with four times the width between them.

    Args:
        dim: channels of input and output.
        activation: "relu" or "gelu".
    """

    def __init__(self, dim: int, activation: str) -> None:
        layers = {"relu": nn.ReLU, "gelu": nn.GELU}
        super().__init__(Linear(dim, 4 * dim), layers[activation](), Linear(4 * dim, dim))
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        """... x dim -> ... x dim."""
        first, _, last = self
        assert isinstance(first, Linear)
        return last(linear(input, first.weight, first.bias, then=self.activation))
