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

    Args:
        q_proj, k_proj, v_proj, out_proj: the projections.
        num_heads: heads of the queries.
        kv_heads: heads of keys and values, each of them for as many of the queries; None for
            `num_heads`.
        q_norm, k_norm: of the queries and keys of each head; None for nothing.
        inner_norm: of what the heads bring, before `out_proj`; None for nothing.
        gate: token -> what weighs, by way of a sigmoid, what the heads bring it; None for nothing.
    """

    def __init__(
        self,
        q_proj: nn.Linear,
        k_proj: nn.Linear,
        v_proj: nn.Linear,
        out_proj: nn.Linear,
        *,
        num_heads: int,
        kv_heads: int | None = None,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
        inner_norm: nn.Module | None = None,
        gate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.num_heads, self.kv_heads = num_heads, kv_heads or num_heads
        self.q_proj, self.k_proj, self.v_proj = q_proj, k_proj, v_proj
        self.q_norm, self.k_norm = q_norm or nn.Identity(), k_norm or nn.Identity()
        self.inner_norm = inner_norm or nn.Identity()
        self.gate = gate
        self.out_proj = out_proj

    @classmethod
    def from_packed(cls, packed: nn.MultiheadAttention) -> "SplitQKVAttention":
        """The same function as `packed` (batch first, equal sizes of q, k and v)."""
        q, k, v = split_linear(packed.in_proj_weight, packed.in_proj_bias, 3)
        return cls(q, k, v, Linear.like(packed.out_proj), num_heads=packed.num_heads)

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
            attn_mask: L x S, or N * H x L x S, added to the scores.

        Returns:
            N x L x E, and None in place of the weights.
        """
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.unflatten(0, (-1, self.num_heads))
        q, k, v = self._queries(query), self._keys(key), self._values(value)
        return self.finish(_attend(q, k, v, attn_mask), query), None

    def self_attend(
        self,
        tokens: Tensor,
        rope: Tensor | None = None,
        mask: Tensor | None = None,
        first: int | None = None,
    ) -> Tensor:
        """Let tokens attend to all of them.

        Args:
            tokens: N x L x E.
            rope: the places of the last tokens, see `turned`.
            mask: L x L, added to the scores.
            first: so many tokens in front ask, which have no place; None for all tokens.

        Returns:
            N x L x E, or N x first x E.
        """
        asking = tokens if first is None else tokens[:, :first]
        q, k, v = self._queries(asking), self._keys(tokens), self._values(tokens)
        q = self.turned(q, rope) if first is None else q
        return self.finish(_attend(q, self.turned(k, rope), v, mask), asking)

    def correlate(
        self,
        tokens: Tensor,
        by: str,
        *,
        rope: Tensor | None = None,
        bias: Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Let each token attend to those that look like it after one projection.

        Args:
            tokens: N x L x E.
            by: the projection in place of both, "query" or "key".
            rope: the places of the last tokens, see `turned`.
            bias: L x L, added to the scores.
            scale: factor of the scores; None for one over the root of a head's channels.

        Returns:
            N x L x E, for `finish`.
        """
        project = {"query": self._queries, "key": self._keys}[by]
        alike = self.turned(project(tokens), rope)
        return _attend(alike, alike, self._values(tokens), bias, scale)

    def project_values(self, value: Tensor) -> Tensor:
        """What a token gives when it attends to itself alone: N x L x E -> N x L x E."""
        return self.finish(_joined(self._values(value)), value)

    def finish(self, attended: Tensor, tokens: Tensor) -> Tensor:
        """What the heads bring to tokens, N x L x E each -> the attention's output."""
        attended = self.inner_norm(attended)
        if self.gate is not None:
            attended = attended * self.gate(tokens).sigmoid()
        return self.out_proj(attended)

    def turned(self, heads: Tensor, rope: Tensor | None) -> Tensor:
        """Queries or keys N x H x L x d, turned by the places of their tokens; here there are none.

        Args:
            heads: of tokens of which the last ones have places.
            rope: what the tower makes of the places; None where it knows of none.
        """
        return heads

    def _queries(self, x: Tensor) -> Tensor:
        return self.q_norm(_heads(self.q_proj(x), self.num_heads))

    def _keys(self, x: Tensor) -> Tensor:
        return self._for_all_queries(self.k_norm(_heads(self.k_proj(x), self.kv_heads)))

    def _values(self, x: Tensor) -> Tensor:
        return self._for_all_queries(_heads(self.v_proj(x), self.kv_heads))

    def _for_all_queries(self, heads: Tensor) -> Tensor:
        if self.kv_heads == self.num_heads:
            return heads
        return heads.repeat_interleave(self.num_heads // self.kv_heads, dim=1)


def split_linear(weight: Tensor, bias: Tensor | None, parts: int) -> list[Linear]:
    """The layers that a packed one consists of, each with parameters of its own.

    Args:
        weight: of `parts` layers below one another.
        bias: likewise; None for none.
    """
    biases = [None] * parts if bias is None else bias.chunk(parts)
    return [Linear.of(w, b) for w, b in zip(weight.chunk(parts), biases, strict=True)]


def _heads(x: Tensor, heads: int) -> Tensor:
    """N x L x E -> N x H x L x d."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _joined(heads: Tensor) -> Tensor:
    """N x H x L x d -> N x L x E."""
    return heads.transpose(1, 2).flatten(2)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Heads N x H x L x d -> N x L x E."""
    mask = None if mask is None else mask.to(q.dtype)
    if not _trains_in_half_precision_on_cpu(q, k):
        return _joined(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale))
    scores = q @ k.transpose(-2, -1) * (scale or q.shape[-1] ** -0.5)
    return _joined((scores if mask is None else scores + mask).softmax(-1).to(v.dtype) @ v)


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
