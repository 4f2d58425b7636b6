"""Training losses by name, and the T2P branch that only training needs.

Letters: B images, T classes, C joint embedding, h w token grid, H W size of the targets.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .supplementation import TextKernels, convolve_by_text


class T2PBranch(nn.Module):
    """Text-to-pixel alignment: class text as 3 x 3 convolutions over upsampled pixels.

    Args:
        dim: C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()

        def upsample_conv(out: int) -> list[nn.Module]:
            return [
                nn.Upsample(scale_factor=2, mode="bilinear"),
                nn.Conv2d(dim, out, 3, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]

        self.pixels = nn.Sequential(
            *upsample_conv(dim), *upsample_conv(dim // 2), nn.Conv2d(dim // 2, dim // 2, 1)
        )
        self.kernels = TextKernels(dim, dim // 2, kernel_size=3)

    def forward(self, text: Tensor, dense: Tensor) -> Tensor:
        """Text B x T x C and dense map B x C x h x w -> logits B x T x 4h x 4w."""
        return convolve_by_text(self.pixels(dense), *self.kernels(text))


class FGASegCriterion(nn.Module):
    """All losses, weighted, each under its own name.

    Args:
        main: "bce" over all classes, or "ce".
        t2p: "bce" (reference) or "mse" (paper).
        t2p_weight: weight of the T2P loss.
        aux_weights: weights of the three auxiliary heads.
        ignore_value: label of ignored pixels.
        ignored_as_negative: "bce" counts ignored pixels as negative for every class.
        class_balance: "ce" weighs a pixel by the share of its class in the batch to the power of
            minus this; 0 for none.
    """

    def __init__(
        self,
        main: str,
        t2p: str,
        t2p_weight: float,
        aux_weights: Sequence[float],
        ignore_value: int,
        ignored_as_negative: bool,
        class_balance: float = 0.0,
    ) -> None:
        super().__init__()
        if main not in ("bce", "ce"):
            raise ValueError(f"expected MODEL.FGASEG.LOSS.MAIN 'bce' or 'ce', got '{main}'.")
        if t2p not in ("bce", "mse"):
            raise ValueError(f"expected MODEL.FGASEG.LOSS.T2P 'bce' or 'mse', got '{t2p}'.")
        if len(aux_weights) != 3:
            raise ValueError(
                f"expected three weights in MODEL.FGASEG.LOSS.AUX_WEIGHTS, got {list(aux_weights)}."
            )
        if class_balance and main != "ce":
            raise ValueError(
                "expected MODEL.FGASEG.LOSS.CLASS_BALANCE 0 or MODEL.FGASEG.LOSS.MAIN 'ce', got "
                f"{class_balance} and '{main}'."
            )
        self.class_balance = class_balance
        self.main, self.t2p, self.t2p_weight = main, t2p, t2p_weight
        self.aux_weights = tuple(aux_weights)
        self.ignore_value, self.ignored_as_negative = ignore_value, ignored_as_negative

    def forward(self, outputs: Mapping[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            outputs: "logits" B x T x 4h x 4w; where the model has them "t2p" of the same shape and
                "aux0" ... "aux2".
            targets: B x H x W, class numbers below T or the ignore value.

        Returns:
            "loss_sem_seg", "loss_t2p", "loss_aux0" ... "loss_aux2".
        """
        losses = {"loss_sem_seg": self._segmentation_loss(outputs["logits"], targets)}
        if "t2p" in outputs:
            losses["loss_t2p"] = self.t2p_weight * self._t2p_loss(outputs["t2p"], targets)
        for point, weight in enumerate(self.aux_weights):
            if f"aux{point}" in outputs:
                loss = self._segmentation_loss(outputs[f"aux{point}"], targets)
                losses[f"loss_aux{point}"] = weight * loss
        return losses

    def _segmentation_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        logits = F.interpolate(logits.float(), targets.shape[1:], mode="bilinear")
        valid = targets != self.ignore_value
        if self.main == "ce":
            return self._cross_entropy(logits, targets, valid)
        loss = F.binary_cross_entropy_with_logits(
            logits, self._one_hot(targets, logits.shape[1]), reduction="none"
        )
        if self.ignored_as_negative:
            return loss.mean()
        return (loss.mean(1) * valid).sum() / valid.sum().clamp(min=1)

    def _cross_entropy(self, logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
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

    def _t2p_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        targets = F.interpolate(targets[:, None].float(), logits.shape[2:], mode="nearest")
        one_hot = self._one_hot(targets.squeeze(1).long(), logits.shape[1])
        if self.t2p == "mse":
            return F.mse_loss(logits.float(), one_hot)
        return F.binary_cross_entropy_with_logits(logits.float(), one_hot)

    def _one_hot(self, targets: Tensor, classes: int) -> Tensor:
        """B x H x W -> B x classes x H x W, ignored pixels 0 for every class."""
        labels = torch.arange(classes, device=targets.device)[:, None, None]
        valid = (targets != self.ignore_value)[:, None]
        return ((targets[:, None] == labels) & valid).float()


def sample_classes(
    entries: Sequence, targets: Tensor, limit: int, ignore_value: int
) -> tuple[Sequence, Tensor]:
    """Leave the classes of the batch and random others, and renumber the targets.

    Args:
        entries: T classes.
        targets: B x H x W, class numbers or the ignore value.
        limit: classes to leave; with fewer all stay.

    Returns:
        At most `limit` entries, and targets that count in them; a class that is left out has
        become the ignore value.
    """
    total = len(entries)
    if total <= limit:
        return entries, targets
    labels = targets[targets != ignore_value]
    present = torch.bincount(labels, minlength=total).cpu() > 0
    chosen = (torch.rand(total) + present).topk(limit).indices.sort().values
    number = torch.full((total,), ignore_value)
    number[chosen] = torch.arange(len(chosen))
    valid = targets != ignore_value
    renumbered = number.to(targets.device)[targets.clamp(max=total - 1)]
    targets = torch.where(valid, renumbered, targets)
    return tuple(entries[index] for index in chosen.tolist()), targets
