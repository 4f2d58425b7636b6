"""Losses over the pixels of label maps.

Letters: B images, T classes, h w the logits' resolution, H W size of the labels.
"""

from torch import Tensor, distributed, nn
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


def focal_loss(
    logits: Tensor, truth: Tensor, counted: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Every pixel is a yes or no of every class, and what is already right counts little.

    Args:
        logits: B x T x H x W.
        truth: B x T x H x W, 0 or 1.
        counted: B x 1 x H x W, 0 or 1: the pixels that count.
        alpha: weight of a yes, 1 - alpha that of a no.
        gamma: power of the probability that is missing to the truth.

    Returns:
        The mean over a picture's counted pixels, summed over pictures and classes, float32.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """
    logits = logits.float()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    missing = (logits.sigmoid() - truth).abs()
    weight = alpha * truth + (1 - alpha) * (1 - truth)
    loss = weight * missing**gamma * entropy * counted
    pixels = counted.sum((2, 3)).clamp(min=1)
    return (loss.sum((2, 3)) / pixels).sum()


def dice_loss(logits: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """How little a class's mask and its truth overlap, for the classes in a picture.

    Args:
        logits: B x T x H x W.
        truth: B x T x H x W, 0 or 1.
        counted: B x 1 x H x W, 0 or 1: the pixels that count.

    Returns:
        1 - (2 sum p t + 1) / (sum p + sum t + 1), summed over the pairs of a picture and a class
        that it shows, float32.

    Source: Milletari et al., "V-Net", 3DV 2016.
    """
    present = truth.sum((2, 3)) > 0
    masks = logits.float().sigmoid() * counted
    both, true = (masks * truth).sum((2, 3)), truth.sum((2, 3))
    overlap = (2 * both + 1) / (masks.sum((2, 3)) + true + 1)
    return ((1 - overlap) * present).sum()


def mean_over_ranks(count: Tensor) -> Tensor:
    """A number's mean over the processes of a distributed training, 1 at least, no gradient."""
    count = count.detach().float()
    if distributed.is_available() and distributed.is_initialized():
        count = count.clone()
        distributed.all_reduce(count)
        count = count / distributed.get_world_size()
    return count.clamp(min=1)
