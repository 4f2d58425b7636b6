"""FGAseg's training losses by name.

Letters: B images, T classes, h w token grid, H W size of the targets.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ...modeling.losses.labels import one_hot
from ...modeling.losses.pixel import BinaryCrossEntropy, CrossEntropy


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
        *,
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
            raise ValueError(f"expected `main` 'bce' or 'ce', got '{main}'.")
        if t2p not in ("bce", "mse"):
            raise ValueError(f"expected `t2p` 'bce' or 'mse', got '{t2p}'.")
        if len(aux_weights) != 3:
            raise ValueError(f"expected three `aux_weights`, got {list(aux_weights)}.")
        if class_balance and main != "ce":
            raise ValueError(
                f"expected `class_balance` 0 or `main` 'ce', got {class_balance} and '{main}'."
            )
        self.segmentation: nn.Module
        if main == "ce":
            self.segmentation = CrossEntropy(ignore_value, class_balance)
        else:
            self.segmentation = BinaryCrossEntropy(ignore_value, ignored_as_negative)
        self.t2p, self.t2p_weight = t2p, t2p_weight
        self.aux_weights = tuple(aux_weights)
        self.ignore_value = ignore_value

    def forward(self, outputs: Mapping[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            outputs: "logits" B x T x 4h x 4w; where the model has them "t2p" of the same shape and
                "aux0" ... "aux2".
            targets: B x H x W, class numbers below T or the ignore value.

        Returns:
            "loss_sem_seg", "loss_t2p", "loss_aux0" ... "loss_aux2".
        """
        losses = {"loss_sem_seg": self.segmentation(outputs["logits"], targets)}
        if "t2p" in outputs:
            losses["loss_t2p"] = self.t2p_weight * self._t2p_loss(outputs["t2p"], targets)
        for point, weight in enumerate(self.aux_weights):
            if f"aux{point}" in outputs:
                loss = self.segmentation(outputs[f"aux{point}"], targets)
                losses[f"loss_aux{point}"] = weight * loss
        return losses

    def _t2p_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        targets = F.interpolate(targets[:, None].float(), logits.shape[2:], mode="nearest")
        truth = one_hot(targets.squeeze(1).long(), logits.shape[1], self.ignore_value)
        if self.t2p == "mse":
            return F.mse_loss(logits.float(), truth)
        return F.binary_cross_entropy_with_logits(logits.float(), truth)
