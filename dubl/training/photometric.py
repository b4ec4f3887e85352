"""Random changes of color and quality. Pictures are float [N, 3, H, W] in 0..1.

`strength` runs from 0 (nothing changes much) to 1 (as far as platforms and editors go).
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from dubl.training.geometry import chance, uniform

# Luminance quantization of JPEG (ITU-T T.81, table K.1).
_JPEG_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
BLOCK = 8


def jitter_colors(images: Tensor, generator: Generator, *, strength: float = 1.0) -> Tensor:
    """Brightness, contrast, saturation and a shift of each channel, drawn per picture."""
    count = len(images)

    def factor(spread: float) -> Tensor:
        limit = spread * strength
        return uniform(-limit, limit, count, generator).exp().view(-1, 1, 1, 1)

    images = images * factor(0.5)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - middle) * factor(0.6) + middle
    gray = to_gray(images)
    images = (images - gray) * factor(1.0) + gray
    shift = 0.09 * strength * (2 * torch.rand(count, 3, 1, 1, generator=generator) - 1)
    return (images + shift).clamp(0, 1)


def to_gray(images: Tensor) -> Tensor:
    """Luma (ITU-R BT.601) in all three channels."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True).expand(-1, 3, -1, -1)


def darken(images: Tensor, generator: Generator, *, strength: float = 1.0) -> Tensor:
    """A gamma above 1 and a lower white, as in a filmed screen or a dark filter."""
    gamma = uniform(1.0, 1.0 + 1.2 * strength, len(images), generator).view(-1, 1, 1, 1)
    level = uniform(1.0 - 0.7 * strength, 1.0, len(images), generator).view(-1, 1, 1, 1)
    return images.clamp(min=1e-4) ** gamma * level


def blur(images: Tensor, generator: Generator, *, strength: float = 1.0) -> Tensor:
    """Gaussian blur, one radius for all pictures of the call: up to 1.6 % of the side."""
    deviation = float(uniform(0.3, 0.3 + 0.016 * images.shape[-1] * strength, 1, generator))
    return gaussian_blur(images, deviation)


def gaussian_blur(images: Tensor, deviation: float) -> Tensor:
    """Separable Gaussian filter of the given standard deviation in pixels."""
    reach = max(1, math.ceil(2.5 * deviation))
    axis = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (axis / deviation) ** 2)
    kernel = (kernel / kernel.sum()).repeat(3, 1)
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, kernel[:, None, None, :], groups=3)
    return F.conv2d(rows, kernel[:, None, :, None], groups=3)


def add_noise(images: Tensor, generator: Generator, *, strength: float = 1.0) -> Tensor:
    """Gaussian noise with a deviation of up to a tenth of the range."""
    deviation = uniform(0.0, 0.1 * strength, len(images), generator).view(-1, 1, 1, 1)
    noise = torch.randn(images.shape, generator=generator)
    return (images + noise * deviation).clamp(0, 1)


def quantize_blocks(images: Tensor, generator: Generator, *, strength: float = 1.0) -> Tensor:
    """What JPEG loses: the cosine transform of 8x8 blocks rounded to multiples of the table.

    Sides must be multiples of 8. Qualities of about 60 down to 5.
    """
    count, channels, height, width = images.shape
    scale = uniform(0.5, 0.5 + 8 * strength, count, generator).view(-1, 1, 1, 1, 1, 1)
    index = torch.arange(BLOCK, dtype=torch.float32)
    basis = torch.cos(math.pi / BLOCK * (index[None] + 0.5) * index[:, None]) / 2
    basis[0] /= math.sqrt(2)
    blocks = (images * 255 - 128).view(
        count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK
    )
    table = torch.tensor(_JPEG_TABLE, dtype=torch.float32)[:, None, :] * scale
    spectrum = torch.einsum("ui,vj,nchiwj->nchuwv", basis, basis, blocks)
    spectrum = (spectrum / table).round() * table
    blocks = torch.einsum("ui,vj,nchuwv->nchiwj", basis, basis, spectrum)
    return ((blocks.reshape(images.shape) + 128) / 255).clamp(0, 1)


def lose_resolution(images: Tensor, generator: Generator, *, strength: float = 1.0) -> Tensor:
    """Shrinks and enlarges again, one factor for all pictures of the call: down to a quarter."""
    side = images.shape[-1]
    small = round(side * float(uniform(1.0 - 0.75 * strength, 0.9, 1, generator)))
    low = F.interpolate(images, size=(small, small), mode="bilinear", antialias=True)
    return F.interpolate(low, size=(side, side), mode="bilinear").clamp(0, 1)


def degrade(images: Tensor, generator: Generator, *, strength: float = 1.0) -> Tensor:
    """Each picture goes through a random few of the changes above."""
    operations = (
        (jitter_colors, 0.7),
        (darken, 0.12),
        (blur, 0.2),
        (lose_resolution, 0.3),
        (add_noise, 0.2),
        (quantize_blocks, 0.4),
    )
    gray = chance(0.15 * strength, len(images), generator).view(-1, 1, 1, 1)
    images = torch.where(gray, to_gray(images), images)
    for operation, probability in operations:
        chosen = chance(probability * strength, len(images), generator).nonzero().flatten()
        if len(chosen):
            changed = operation(images[chosen], generator, strength=strength)
            images = images.index_copy(0, chosen, changed)
    return images
