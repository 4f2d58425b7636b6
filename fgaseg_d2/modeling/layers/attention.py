"""Attention modules.  Letters: N batch, L query length, S key length, E embedding, H heads."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .linear import Linear, linear

_MOST_PAIRS = 512**2  # of a query and a key whose scores are kept for the backward pass


class SplitQKVAttention(nn.Module):
    """Multi-head attention whose q, k and v projections are separate parameters.

    ``nn.MultiheadAttention`` packs the three into one tensor, so they can only train together:
    weight decay would move a frozen k that shares a tensor with a trained q. Computes the same and
    takes the arguments that open_clip's transformer blocks pass.
    """

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = Linear(embed_dim, embed_dim)
        self.k_proj = Linear(embed_dim, embed_dim)
        self.v_proj = Linear(embed_dim, embed_dim)
        self.out_proj = Linear(embed_dim, embed_dim)

    @classmethod
    def from_packed(cls, packed: nn.MultiheadAttention) -> "SplitQKVAttention":
        """The same function as `packed` (batch first, equal sizes of q, k and v, with biases)."""
        split = cls(packed.embed_dim, packed.num_heads)
        projections = (split.q_proj, split.k_proj, split.v_proj)
        weights, biases = packed.in_proj_weight.chunk(3), packed.in_proj_bias.chunk(3)
        with torch.no_grad():
            for projection, weight, bias in zip(projections, weights, biases, strict=True):
                projection.weight.copy_(weight)
                projection.bias.copy_(bias)
            split.out_proj.load_state_dict(packed.out_proj.state_dict())
        return split

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Attend.

        Args:
            query: N x L x E; `key` and `value`: N x S x E.
            need_weights: part of torch's signature; the attention weights are never returned.
            attn_mask: L x S, added to the scores.

        Returns:
            N x L x E, and None in place of the weights.
        """
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        return self.out_proj(self._attend(q, k, v, attn_mask)), None

    def correlate(
        self, tokens: Tensor, projection: nn.Linear, bias: Tensor | None = None
    ) -> Tensor:
        """Let each token attend to those that look like it after one projection.

        Args:
            tokens: N x L x E.
            projection: `q_proj` or `k_proj`, in place of both.
            bias: L x L, added to the scores.

        Returns:
            N x L x E, before `out_proj`.
        """
        alike = projection(tokens)
        return self._attend(alike, alike, self.v_proj(tokens), bias)

    def project_values(self, value: Tensor) -> Tensor:
        """What a token gives when it attends to itself alone: N x L x E -> N x L x E."""
        return self.out_proj(self.v_proj(value))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (q, k, v))
        mask = None if mask is None else mask.to(q.dtype)
        if _trains_in_half_precision_on_cpu(q, k):
            scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
            out = (scores if mask is None else scores + mask).softmax(-1).to(v.dtype) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).flatten(2)


def _trains_in_half_precision_on_cpu(q: Tensor, k: Tensor) -> bool:
    """Whether plain products are faster: PyTorch's fused attention goes back in loops there.

    A backward pass over 65 tokens takes a seventh of the time. Long sequences are left to the fused
    attention, which does not keep the scores.
    """
    pairs = q.shape[-2] * k.shape[-2]
    half = q.dtype == torch.bfloat16
    return q.device.type == "cpu" and half and q.requires_grad and pairs <= _MOST_PAIRS


class GuidedLinear(nn.Linear):
    """``Linear([x; guidance])`` in two halves, as many maps share one guidance.

    ``layer(x, layer.guide(guidance))`` is the linear layer of both together.
    """

    def __init__(self, in_features: int, guidance_features: int, out_features: int) -> None:
        super().__init__(in_features + guidance_features, out_features)
        self.split = (in_features, guidance_features)

    def guide(self, guidance: Tensor) -> Tensor:
        """The guidance's half, with the bias: ... x guidance_features -> ... x out_features."""
        return linear(guidance, self.weight.split(self.split, dim=1)[1], self.bias)

    # A linear layer in its parameters, and so in what decays and what is initialised.
    def forward(self, x: Tensor, guide: Tensor) -> Tensor:  # type: ignore[override]
        """Add the half of x.

        Args:
            x: ... x in_features.
            guide: what `guide` returned, broadcastable against ... x out_features.

        Returns:
            ... x out_features.
        """
        return linear(x, self.weight.split(self.split, dim=1)[0]) + guide


def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, extra: tuple[Tensor, Tensor, int] | None = None
) -> Tensor:
    """Attention with the feature map elu + 1, linear in the number of keys.

    Runs in float32 under autocast too: the sums over keys leave float16's range.

    Args:
        q, k, v: ... x L x H x E.
        extra: a key (H x E), its value (H x E) and how many further times the pair stands in the
            sequence, so that equal padding need not be laid out in memory.

    Returns:
        ... x L x H x E, in float32.

    Source: Katharopoulos et al., "Transformers are RNNs", 2020.
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k, v = F.elu(q.float()) + 1, F.elu(k.float()) + 1, v.float()
        key_value = torch.einsum("...lhd,...lhe->...hde", k, v)
        key_sum = k.sum(-3)
        if extra is not None:
            pad_key, pad_value, count = F.elu(extra[0].float()) + 1, extra[1].float(), extra[2]
            key_value = key_value + count * torch.einsum("hd,he->hde", pad_key, pad_value)
            key_sum = key_sum + count * pad_key
        normaliser = torch.einsum("...lhd,...hd->...lh", q, key_sum) + 1e-6
        return torch.einsum("...lhd,...hde->...lhe", q, key_value) / normaliser.unsqueeze(-1)
