"""Text-grounded masks of every pair of a picture and a text.

Letters: B pairs of this process, A pairs of all processes, N pixels of a picture's embeddings, C
channels, k hard candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class TextGrounding(nn.Module):
    """Cosines of pixels and texts -> logits of masks: w S + beta, both learned.

    Args:
        sharpness: w at first.
        offset: beta at first.
    """

    def __init__(self, sharpness: float = 10.0, offset: float = -2.5) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, cosines: Tensor) -> Tensor:
        """Any shape -> the same shape, float32."""
        return self.sharpness * cosines.float() + self.offset


@dataclass(frozen=True)
class Pairs:
    """What is needed of all pairs of own pictures and all texts.

    Attributes:
        objects: B x A, cosine of a text and what its mask takes of a picture.
        negative_area: mean of the masks of texts of other pictures; 0 where there are none.
        hardest: A x k, the largest cosines of each text with pixels of this process's other
            pictures, -inf where there are fewer.
    """

    objects: Tensor
    negative_area: Tensor
    hardest: Tensor


def compare_pairs(
    pixels: Tensor,
    texts: Tensor,
    own: Tensor,
    grounding: TextGrounding,
    *,
    hard: int,
    pairs_at_once: int,
) -> Pairs:
    """Compare own pictures with all texts, some texts at a time.

    With gradients each part is computed again in the backward pass: the masks of all pairs would
    not fit into memory.

    Args:
        pixels: B x N x C, unit norm.
        texts: A x C, unit norm.
        own: B, which of the texts belongs to each picture.
        grounding: makes the masks.
        hard: k, at most; B N if that is fewer.
        pairs_at_once: pairs whose masks are in memory together.
    """
    hard = min(hard, pixels.shape[0] * pixels.shape[1])
    numbers = torch.arange(len(texts), device=texts.device)
    parts = []
    for chosen in numbers.split(max(1, pairs_at_once // len(pixels))):
        is_own = own[:, None] == chosen
        arguments = pixels, texts[chosen], is_own, grounding, hard
        parts.append(checkpoint(_compare, *arguments, use_reentrant=False))
    objects, areas, hardest = zip(*parts, strict=True)
    negatives = len(pixels) * (len(texts) - 1)
    return Pairs(
        torch.cat(objects, dim=1),
        torch.stack(areas).sum() / max(1, negatives),
        torch.cat(hardest),
    )


def _compare(
    pixels: Tensor, texts: Tensor, is_own: Tensor, grounding: TextGrounding, hard: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Objects B x c, summed mean of the masks that are not own, hardest c x k, of c texts."""
    cosines = torch.einsum("bnc,tc->btn", pixels, texts)
    masks = grounding(cosines).sigmoid()
    objects = F.normalize(masks @ pixels, dim=-1)
    area = (masks.mean(-1) * ~is_own).sum()
    others = cosines.masked_fill(is_own[..., None], -torch.inf).transpose(0, 1)
    return (
        torch.einsum("btc,tc->bt", objects, texts),
        area,
        others.flatten(1).topk(hard).values,
    )
