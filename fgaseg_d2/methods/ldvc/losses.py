"""LDVC's training losses: focal and dice on the masks of every layer.

Letters: B images, N classes, h w token grid, H W size of the targets.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.losses.labels import one_hot
from ...modeling.losses.pixel import dice_loss, focal_loss, mean_over_ranks


class LDVCCriterion(nn.Module):
    """Both losses of every layer, over the number of pairs of a picture and a class that it shows.

    Args:
        ignore_value: label of ignored pixels.
        focal_weight, dice_weight: of the two losses.
        ignored_as_negative: an ignored pixel is a no of every class; otherwise it does not count.
    """

    def __init__(
        self,
        *,
        ignore_value: int,
        focal_weight: float,
        dice_weight: float,
        ignored_as_negative: bool,
    ) -> None:
        super().__init__()
        self.ignore_value, self.ignored_as_negative = ignore_value, ignored_as_negative
        self.focal_weight, self.dice_weight = focal_weight, dice_weight

    def forward(self, masks: Sequence[Tensor], targets: Tensor) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            masks: logits of each layer, B x N x h x w, enlarged to the targets.
            targets: B x H x W, class numbers below N or the ignore value.

        Returns:
            "loss_focal" and "loss_dice" of the last layer, "loss_focal1", "loss_dice1", ... of
            those before.
        """
        truth = one_hot(targets, masks[0].shape[1], self.ignore_value)
        counted = torch.ones_like(truth[:, :1])
        if not self.ignored_as_negative:
            counted = (targets != self.ignore_value)[:, None].float()
        pairs = mean_over_ranks(truth.amax((2, 3)).sum())
        losses = {}
        for number, logits in enumerate(masks, start=1):
            name = "" if number == len(masks) else str(number)
            logits = F.interpolate(logits.float(), targets.shape[1:], mode="bilinear")
            focal, dice = focal_loss(logits, truth, counted), dice_loss(logits, truth, counted)
            losses[f"loss_focal{name}"] = self.focal_weight * focal / pairs
            losses[f"loss_dice{name}"] = self.dice_weight * dice / pairs
        return losses
