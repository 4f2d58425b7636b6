"""Upsampling of class maps with guidance.  Letters: B images, T maps an image, h w their size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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

    def guided_by(self, guidance: Tensor) -> "Upsampling":
        """The upsampling for guidance maps B x guidance_channels x 2h x 2w."""
        return Upsampling(self.up, self.conv, guidance.shape[2:], guidance)


class Upsampling:
    """Transposed convolution, guidance beside its result, `DoubleConv`: for any number of maps.

    The transposed convolution and the convolution behind it are both linear. On the maps they are
    one transposed convolution with a 4 x 4 kernel; what the guidance and the bias add is the same
    for all maps of an image.

    Args:
        up: kernel 2, stride 2.
        conv: takes up's channels, then the guidance's.
        size: 2h and 2w.
        guidance: B x channels x 2h x 2w, None for none.
    """

    def __init__(
        self,
        up: nn.Module,
        conv: nn.Module,
        size: Sequence[int],
        guidance: Tensor | None = None,
    ) -> None:
        assert isinstance(up, nn.ConvTranspose2d) and isinstance(conv, DoubleConv)
        first, *rest = conv
        assert isinstance(first, nn.Conv2d)
        self.rest = nn.Sequential(*rest)
        # The response to a unit impulse in each input channel.
        self.kernel = F.conv2d(up.weight, first.weight[:, : up.out_channels], padding=2)
        assert up.bias is not None
        channels = [up.bias[None, :, None, None].expand(-1, -1, *size)]
        if guidance is not None:
            of_zero = channels[0].expand(len(guidance), -1, -1, -1)
            channels = [of_zero.to(guidance.dtype), guidance]
        added = first(torch.cat(channels, dim=1))
        self.added = added.contiguous(memory_format=torch.channels_last).unsqueeze(1)

    def __call__(self, x: Tensor) -> Tensor:
        """B x T x h x w x in_channels -> B x T x 2h x 2w x out_channels."""
        maps = F.conv_transpose2d(to_maps(x), self.kernel, stride=2, padding=1)
        maps.unflatten(0, x.shape[:2]).add_(self.added)
        return from_maps(self.rest(maps), x.shape[:2])


def to_maps(x: Tensor) -> Tensor:
    """B x T x h x w x D -> (B T) x D x h x w, in channels-last memory."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def from_maps(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """(B T) x D x h x w -> B x T x h x w x D, with B and T in `shape`."""
    return maps.permute(0, 2, 3, 1).unflatten(0, tuple(shape))
