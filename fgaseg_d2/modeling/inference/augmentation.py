"""Test-time augmentation: a model that looks at a picture several times and averages."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .label_maps import requested_output


class AveragedViews(nn.Module):
    """Averages the probabilities of a model over scales and, where asked, over mirrored pictures.

    Has the contract of the model that it wraps. Probabilities are averaged at the model's own
    resolution, so that for labels the memory does not grow with the size of the picture.

    Args:
        model: knows the input keys "output" and "scale"; with one that does not, only mirroring
            has an effect.
        scales: factors on the resolution at which the model looks at a picture.
        flip: look at the mirrored picture as well.
    """

    def __init__(self, model: nn.Module, scales: Sequence[float], flip: bool) -> None:
        super().__init__()
        self.model = model
        self.scales, self.flip = tuple(scales), flip
        self.train(model.training)

    def forward(self, batched_inputs: Sequence[Mapping]) -> list[dict[str, Tensor]]:
        """Segment; input and output as those of the model."""
        return [
            requested_output(item, *(self._scores(item, scale) for scale in self.scales))
            for item in batched_inputs
        ]

    def _scores(self, item: Mapping, scale: float) -> Tensor:
        """K x h x w at one scale, averaged over the picture and its mirror image."""
        item = {**item, "output": "canvas", "scale": scale}
        (result,) = self.model([item])
        if not self.flip:
            return result["sem_seg"]
        (mirrored,) = self.model([{**item, "image": torch.flip(item["image"], (-1,))}])
        return result["sem_seg"].add_(mirrored["sem_seg"].flip(-1)).div_(2)
