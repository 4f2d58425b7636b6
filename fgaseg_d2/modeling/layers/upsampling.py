"""Upsampling of class maps with guidance.  Letters: N class maps, h w their size."""

import torch
from torch import Tensor, nn


class DoubleConv(nn.Sequential):
    """Twice [conv3x3 without bias, GroupNorm with 16 channels a group, ReLU]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        groups = max(1, out_channels // 16)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(groups, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(groups, out_channels),
            nn.ReLU(inplace=True),
        )


class GuidedUpsample(nn.Module):
    """Double the size of class maps and refine them with a guidance map of the image.

    Args:
        in_channels: channels of the class maps.
        out_channels: channels after it.
        guidance_channels: channels of the guidance; the upsampled maps have in_channels minus
            these, so that both together have in_channels again.
    """

    def __init__(self, in_channels: int, out_channels: int, guidance_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, in_channels - guidance_channels, 2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Upsample.

        Args:
            x: (B T) x in_channels x h x w.
            guidance: B x guidance_channels x 2h x 2w, shared by the T maps of an image.

        Returns:
            (B T) x out_channels x 2h x 2w.
        """
        x = self.up(x)
        guidance = guidance.repeat_interleave(len(x) // len(guidance), dim=0)
        return self.conv(torch.cat((x, guidance), dim=1))
