"""Stage 2, category supplementation: where each class may be (paper, section III-C).

GCS, the global half, is the cosine of text and tokens (`layers.similarity`).

Letters: B images, T classes, C joint embedding, k kernel size, h w token grid.
"""

from torch import Tensor, nn
from torch.nn import functional as F


def convolve_by_text(pixels: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
    """Convolve each image with kernels of its own, one a class, in one grouped convolution.

    Args:
        pixels: B x C x H x W.
        kernels: B x T x C x k x k, k odd.
        bias: B x T.

    Returns:
        B x T x H x W.
    """
    images, _, height, width = pixels.shape
    maps = F.conv2d(
        pixels.reshape(1, -1, height, width),
        kernels.flatten(0, 1).to(pixels.dtype),
        bias.flatten().to(pixels.dtype),
        padding=kernels.shape[-1] // 2,
        groups=images,
    )
    return maps.reshape(images, -1, height, width)


class TextKernels(nn.Module):
    """Turn a class's text into a convolution kernel and a bias.

    Args:
        text_dim: C of the text.
        pixel_dim: channels of the map that will be convolved.
        kernel_size: k, odd.
    """

    def __init__(self, text_dim: int, pixel_dim: int, kernel_size: int) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"expected an odd `kernel_size`, got {kernel_size}.")
        self.shape = (pixel_dim, kernel_size, kernel_size)
        self.linear = nn.Linear(text_dim, pixel_dim * kernel_size**2 + 1)

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """B x T x text_dim -> kernels B x T x pixel_dim x k x k, bias B x T."""
        out = self.linear(text)
        return out[..., :-1].unflatten(-1, self.shape), out[..., -1]


class LocalSimilarity(nn.Module):
    """LCS: each class's text becomes a convolution over the normalised pixels.

    Args:
        dim: C.
        kernel_size: k, odd.
        kernel_norm: softmax over the k x k positions of each channel.
    """

    def __init__(self, dim: int, *, kernel_size: int = 3, kernel_norm: bool = True) -> None:
        super().__init__()
        self.kernels = TextKernels(dim, dim, kernel_size)
        self.kernel_norm = kernel_norm

    def forward(self, text: Tensor, dense: Tensor) -> Tensor:
        """Text B x T x C and dense map B x C x h x w -> B x T x h x w."""
        kernels, bias = self.kernels(F.normalize(text, dim=2))
        if self.kernel_norm:
            kernels = kernels.flatten(3).softmax(3).view_as(kernels)
        return convolve_by_text(F.normalize(dense, dim=1), kernels, bias)
