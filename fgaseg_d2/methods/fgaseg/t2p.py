"""The text-to-pixel branch, which only training needs (paper, section III-E).

Letters: B images, T classes, C joint embedding, h w token grid.
"""

from torch import Tensor, nn

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
