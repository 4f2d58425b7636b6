"""Losses over the pixels of label maps.

Letters: B images, T classes, h w the logits' resolution, H W size of the labels.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .labels import one_hot


class BinaryCrossEntropy(nn.Module):
    """Every pixel is a yes or no of every class.

    Args:
        ignore_value: label of ignored pixels.
        ignored_as_negative: an ignored pixel is a no of every class (CAT-Seg, FGAseg); otherwise
            it does not count.
    """

    def __init__(self, ignore_value: int, ignored_as_negative: bool) -> None:
        super().__init__()
        self.ignore_value, self.ignored_as_negative = ignore_value, ignored_as_negative

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits B x T x h x w, enlarged to the targets B x H x W -> mean, float32."""
        logits = F.interpolate(logits.float(), targets.shape[1:], mode="bilinear")
        truth = one_hot(targets, logits.shape[1], self.ignore_value)
        loss = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        if self.ignored_as_negative:
            return loss.mean()
        valid = targets != self.ignore_value
        return (loss.mean(1) * valid).sum() / valid.sum().clamp(min=1)


class CrossEntropy(nn.Module):
    """Every pixel is one of the classes; ignored pixels do not count.

    Args:
        ignore_value: label of ignored pixels.
        class_balance: a pixel's weight is the share of its class in the batch to the power of minus
            this; 0 counts all pixels the same.
    """

    def __init__(self, ignore_value: int, class_balance: float = 0.0) -> None:
        super().__init__()
        self.ignore_value, self.class_balance = ignore_value, class_balance

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits B x T x h x w, enlarged to the targets B x H x W -> weighted mean, float32."""
        logits = F.interpolate(logits.float(), targets.shape[1:], mode="bilinear")
        valid = targets != self.ignore_value
        weights = None
        total_weight = valid.sum().clamp(min=1)
        if self.class_balance:
            counts = targets[valid].bincount(minlength=logits.shape[1]).to(logits)
            weights = (counts.clamp(min=1) / total_weight) ** -self.class_balance
            total_weight = (weights * counts).sum().clamp(min=1)
        total = F.cross_entropy(
            logits, targets, weights, ignore_index=self.ignore_value, reduction="sum"
        )
        # A batch without a single label has no loss rather than none that is a number.
        return total / total_weight
