"""USE's losses: segments and texts find each other among all of the batch, over all processes.

Letters: N segments of this process, A of all processes, C joint embedding.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.losses.contrastive import gathered_rows, world_size

_MAX_SCALE = 100.0
# What SigLIP begins with: nearly all pairs are negatives.
_FIRST_BIAS, _FIRST_SIGMOID_SCALE = -10.0, 10.0


def text_keys(texts: Sequence[str], device: torch.device) -> Tensor:
    """A number for each text, the same for texts that differ in case and blanks alone: N int64.

    Numbers, because processes exchange tensors; two texts of a batch get the same by chance once in
    10^13 batches of a thousand.
    """
    plain = (" ".join(text.split()).casefold().encode() for text in texts)
    digests = [hashlib.blake2b(text, digest_size=8).digest() for text in plain]
    numbers = [int.from_bytes(digest, "big", signed=True) for digest in digests]
    return torch.tensor(numbers, dtype=torch.int64, device=device)


class SegmentTextLoss(nn.Module):
    """The contrastive loss, or the pairwise sigmoid loss, of segments and their texts.

    Args:
        kind: "contrastive": one softmax cross-entropy each way, whose target is uniform over the
            pairs of equal texts. "sigmoid": each pair is a yes or no, with a learned bias
            (SigLIP, arXiv 2303.15343).
        temperature: of the first softmax, above 0.
    """

    def __init__(self, kind: str, temperature: float) -> None:
        super().__init__()
        self.kind = kind
        first = _FIRST_SIGMOID_SCALE if kind == "sigmoid" else 1 / temperature
        self.log_scale = nn.Parameter(torch.tensor(math.log(first)))
        if kind == "sigmoid":
            self.bias = nn.Parameter(torch.tensor(_FIRST_BIAS))

    @property
    def scale(self) -> Tensor:
        """Of the cosines, at most 100."""
        return self.log_scale.clamp(max=math.log(_MAX_SCALE)).exp()

    def forward(self, segments: Tensor, texts: Tensor, keys: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            segments: N x C, unit norm; N may differ from process to process.
            texts: N x C, unit norm, of the segments in their order.
            keys: N, see `text_keys`.

        Returns:
            A scalar, whose mean over the processes, as its gradients', is that of one process with
            all A segments.
        """
        # bfloat16 tells cosines apart by 0.004, and the scale may be 100.
        with torch.autocast(segments.device.type, enabled=False):
            return self._of_all(segments.float(), texts.float(), keys)

    def _of_all(self, segments: Tensor, texts: Tensor, keys: Tensor) -> Tensor:
        all_keys = gathered_rows(keys)
        equal = keys[:, None] == all_keys
        to_texts = self.scale * segments @ gathered_rows(texts).T
        to_segments = self.scale * texts @ gathered_rows(segments).T
        # Of A segments each process counts its own.
        share = world_size() / max(len(all_keys), 1)
        if self.kind == "sigmoid":
            signs = 2 * equal.float() - 1
            # Each pair stands in a row of one process; the texts' gradients come with the gather.
            return -share * F.logsigmoid(signs * (to_texts + self.bias)).sum()
        target = equal.float() / equal.sum(1, keepdim=True)
        both = (target * (to_texts.log_softmax(1) + to_segments.log_softmax(1))).sum()
        return -share * both / 2
