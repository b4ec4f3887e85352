"""The two views of a picture that self-supervised training compares, made for a batch at once.

The weak view stands for the reference, the strong view for an edited copy, as in SSCD (Pizzi et
al., 2022, section 4.2), with insets, bars, cut-outs and split screens added for video. An edit is a
row of numbers (`Edits`), drawn apart from the pictures: the same row edits one picture, or all
frames of a clip alike. All draws come from the given generator.

Coordinates run from -1 to 1 over a picture, x before y. A point of the strong view goes through
`recut` (the edited picture filmed or cut again) to the layout of a front and a back layer, and
through the layer's warp to the picture that shows there: one resampling for everything. So it is
known for each point which point of which picture it shows (`Trace`), as CopyNCE wants it (Lu et
al., 2025, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional as F

from dubl.training.datasets import Overlays

NOBODY = -1  # in place of the number of a picture
TRACE_SIDE = 12  # points to a side that are traced: four to a side of each of 3x3 regions
PLAIN, BARS, INSET, REACTION, SPLIT = range(5)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
POOLS = 3  # half sizes from which shrunken pictures are sampled
LOSSES = (2, 3, 4, 5)  # factors by which resolution is lost
BLUR_REACH = 5  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongRanges:
    """Probabilities per picture. `mild` pictures are hardly cut, but compressed all the same; of
    the others at most one of the four compositions is drawn. `strength` in 0..1 scales all."""

    strength: float = 1.0
    mild: float = 0.25
    min_area: float = 0.25
    cut_out: float = 0.12
    recut: float = 0.2
    mirror: float = 0.35
    quarter_turn: float = 0.12
    rotation: float = 0.2
    perspective: float = 0.12
    text: float = 0.35
    sticker: float = 0.25
    bars: float = 0.15
    inset: float = 0.15
    reaction: float = 0.1
    split: float = 0.1
    colors: float = 0.7
    encoded: float = 0.3
    jpeg: float = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """N edits; every field has N rows. Boxes are left, top, right, bottom."""

    recut: Tensor  # [N,3,3]
    kind: Tensor  # [N], PLAIN to SPLIT
    front_warp: Tensor  # [N,3,3]
    back_warp: Tensor  # [N,3,3]
    front_box: Tensor  # [N,4]
    back_box: Tensor  # [N,4]
    ground: Tensor  # [N,3] color of bars; below 0: the picture itself, enlarged and blurred
    reflect: Tensor  # [N] whether what lies outside a picture mirrors it; else it is black
    color: Tensor  # [N,3,4] channels after the edit from those before it and 1
    contrast: Tensor  # [N] around the picture's mean
    gamma: Tensor  # [N]
    blur: Tensor  # [N] standard deviation, pixels; 0: none
    loss: Tensor  # [N] factor by which resolution is lost; 1: none
    noise: Tensor  # [N] standard deviation, share of the range
    seed: Tensor  # [N] of the noise
    jpeg: Tensor  # [N] quality; 0: not encoded
    encoded: Tensor  # [N] whether to begin with the picture that H.264 has left
    sticker: Tensor  # [N,6] number, turn, half height, half width, x, y; number below 0: none
    text: Tensor  # [N,2,9] two lines: as a sticker, and the ink

    def take(self, rows: Tensor) -> Edits:
        """Those rows: all zeros gives one edit for all frames of a clip."""
        return Edits(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @property
    def shows_guest(self) -> Tensor:
        """Bool [N]: whether another picture shows as well."""
        return self.kind >= INSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What shows at TRACE_SIDE x TRACE_SIDE points of N views.

    `layer` [N,P,P]: 0 the picture, 1 the guest, -1 neither; `points` [N,P,P,2]: where in it.
    """

    layer: Tensor
    points: Tensor


def uniform(low: float, high: float, count: int, generator: Generator) -> Tensor:
    """Float [count], uniform in low..high."""
    return low + (high - low) * torch.rand(count, generator=generator)


def chance(probability: float, count: int, generator: Generator) -> Tensor:
    """Bool [count], each true with the probability."""
    return torch.rand(count, generator=generator) < probability


# --- drawing -------------------------------------------------------------------------------------


def draw_weak(count: int, generator: Generator) -> Edits:
    """As a library has a picture: hardly cut, hardly compressed."""
    ranges = StrongRanges(strength=0.25, mild=1.0, text=0, sticker=0, colors=0.4, encoded=0.1)
    return draw_strong(count, ranges, generator)


def draw_strong(count: int, ranges: StrongRanges, generator: Generator) -> Edits:
    """N edits as heavy as editors make them."""
    strength = ranges.strength
    mild = chance(1 - (1 - ranges.mild) * min(strength * 2, 1), count, generator)
    crop = torch.where(
        mild[:, None, None],
        _crop(0.75, 1.2, 0.0, count, generator),
        _crop(1 - (1 - ranges.min_area) * strength, 2.0, ranges.cut_out, count, generator),
    )
    warp = crop @ _turns(ranges, ~mild, generator)
    kind, front, back = _layout(ranges, ~mild, generator)
    again = ~mild & chance(ranges.recut * strength, count, generator)
    recut = torch.where(
        again[:, None, None],
        _crop(0.5, 1.5, 0.0, count, generator) @ _turns(ranges, again, generator),
        torch.eye(3),
    )
    ground = torch.rand(count, 3, generator=generator)
    ground = torch.where(chance(0.6, count, generator)[:, None], 0.0, ground)
    ground = torch.where(chance(0.5, count, generator)[:, None], -1.0, ground)
    losses = torch.tensor(LOSSES)[torch.randint(len(LOSSES), (count,), generator=generator)]
    gamma = uniform(0.0, 0.8 * strength, count, generator).exp()
    darker = chance(0.15, count, generator)
    strong_noise = uniform(0.0, 0.1 * strength, count, generator)
    qualities = uniform(5, 60, count, generator) + 35 * (1 - strength)
    return Edits(
        recut=recut,
        kind=kind,
        front_warp=torch.where((kind == REACTION)[:, None, None], crop, warp),
        back_warp=torch.where((kind == REACTION)[:, None, None], warp, crop),
        front_box=front,
        back_box=back,
        ground=ground,
        reflect=chance(0.5, count, generator),
        color=_color(ranges, count, generator),
        contrast=_factor(0.6 * strength, count, generator),
        gamma=torch.where(darker & ~mild, gamma, 1.0),
        blur=uniform(0.4, 2.4, count, generator) * chance(0.12 * strength, count, generator),
        loss=torch.where(chance(0.3 * strength, count, generator), losses, 1),
        noise=strong_noise * chance(0.15, count, generator),
        seed=torch.randint(2**31, (count,), generator=generator),
        jpeg=torch.where(chance(ranges.jpeg, count, generator), qualities, 0).int(),
        encoded=chance(ranges.encoded, count, generator),
        sticker=_places(ranges.sticker * ~mild, (0.12, 0.45), (0.7, 1.4), generator),
        text=torch.stack(
            [
                torch.cat(
                    [
                        _places(ranges.text * share * ~mild, (0.07, 0.2), (3.0, 8.0), generator),
                        torch.rand(count, 3, generator=generator),
                    ],
                    dim=1,
                )
                for share in (1.0, 0.5)
            ],
            dim=1,
        ),
    )


def _identity(count: int) -> Tensor:
    return torch.eye(3).repeat(count, 1, 1)


def _crop(
    min_area: float, max_aspect: float, cut_out: float, count: int, generator: Generator
) -> Tensor:
    """[N,3,3]: view → a box inside the picture; some are upright cut-outs of full height."""
    area = uniform(min_area, 1.0, count, generator)
    limit = math.log(max_aspect) / 2
    stretch = uniform(-limit, limit, count, generator).exp()
    width = (area.sqrt() * stretch).clamp(max=1.0)
    height = (area.sqrt() / stretch).clamp(max=1.0)
    upright = chance(cut_out, count, generator)
    width = torch.where(upright, uniform(0.28, 0.5, count, generator), width)
    height = torch.where(upright, uniform(0.85, 1.0, count, generator), height)
    matrix = _identity(count)
    matrix[:, 0, 0], matrix[:, 1, 1] = width, height
    matrix[:, 0, 2] = (1 - width) * uniform(-1, 1, count, generator)
    matrix[:, 1, 2] = (1 - height) * uniform(-1, 1, count, generator)
    return matrix


def _turns(ranges: StrongRanges, changed: Tensor, generator: Generator) -> Tensor:
    """[N,3,3]: mirrored, turned and tilted at times."""
    count, strength = len(changed), ranges.strength
    small = uniform(-math.pi / 8, math.pi / 8, count, generator)
    angle = small * chance(ranges.rotation * strength, count, generator)
    quarters = torch.randint(1, 4, (count,), generator=generator) * (math.pi / 2)
    angle = torch.where(chance(ranges.quarter_turn * strength, count, generator), quarters, angle)
    angle = angle * changed
    mirror = 1 - 2.0 * (chance(ranges.mirror * strength, count, generator) & changed)
    tilt = uniform(-0.25, 0.25, 2 * count, generator).view(count, 2)
    tilted = chance(ranges.perspective * strength, count, generator) & changed
    matrix = _identity(count)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() * mirror, -angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() * mirror, angle.cos()
    matrix[:, 2, :2] = tilt * tilted[:, None]
    return matrix


def _layout(
    ranges: StrongRanges, changed: Tensor, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Kind [N], front box and back box [N,4] of each composition."""
    count = len(changed)
    shares = torch.tensor([ranges.bars, ranges.inset, ranges.reaction, ranges.split])
    draw = torch.rand(count, generator=generator)
    kind = (draw[:, None] > 1 - shares.flip(0).cumsum(0)).sum(dim=1) * changed
    whole = torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(count, 1)
    size = torch.ones(count, 2)
    narrow = uniform(0.32, 0.85, count, generator)
    upright = chance(0.5, count, generator)
    both = chance(0.15, count, generator)
    bars = torch.stack(
        [torch.where(upright & ~both, 1.0, narrow), torch.where(upright | both, narrow, 1.0)], 1
    )
    inset = uniform(0.3, 0.65, count, generator)[:, None] * torch.stack(
        [_factor(0.25, count, generator), torch.ones(count)], dim=1
    )
    inset = torch.where((kind == REACTION)[:, None], inset * 0.75, inset)
    size = torch.where((kind == BARS)[:, None], bars, size)
    size = torch.where(((kind == INSET) | (kind == REACTION))[:, None], inset, size)
    place = uniform(-1, 1, 2 * count, generator).view(count, 2)
    centered = (kind == BARS) & chance(0.8, count, generator)
    middle = (1 - size) * place * ~centered[:, None]
    front = torch.cat([middle - size, middle + size], dim=1)
    halves = _halves(count, generator)
    split = (kind == SPLIT)[:, None]
    squeezed = split & chance(0.5, count, generator)[:, None]
    front = torch.where(split, halves[0], front)
    return kind, front, torch.where(squeezed, halves[1], whole)


def _halves(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two boxes [N,4] that share the frame, side by side or one above the other."""
    edge = uniform(-0.2, 0.2, count, generator)
    one, low, high = torch.ones(count), -torch.ones(count), torch.ones(count)
    first = torch.stack([low, low, edge, one], dim=1)
    second = torch.stack([edge, low, high, one], dim=1)
    swapped = chance(0.5, count, generator)[:, None]
    first, second = torch.where(swapped, second, first), torch.where(swapped, first, second)
    upright = chance(0.5, count, generator)[:, None]
    turn = [1, 0, 3, 2]
    return (
        torch.where(upright, first[:, turn], first),
        torch.where(upright, second[:, turn], second),
    )


def _factor(spread: float, count: int, generator: Generator) -> Tensor:
    return uniform(-spread, spread, count, generator).exp()


def _color(ranges: StrongRanges, count: int, generator: Generator) -> Tensor:
    """[N,3,4]: brightness, saturation (gray at times), swapped hues and a shift per channel."""
    strength = ranges.strength
    luma = torch.tensor(LUMA)
    saturation = _factor(0.9 * strength, count, generator)
    saturation = saturation * ~chance(0.15 * strength, count, generator)
    matrix = saturation[:, None, None] * torch.eye(3) + (1 - saturation)[:, None, None] * luma
    hue = 0.12 * strength * torch.randn(count, 3, 3, generator=generator)
    hue = hue * chance(0.3, count, generator)[:, None, None]
    matrix = (matrix + hue - hue.mean(dim=2, keepdim=True)) * _factor(
        0.5 * strength, count, generator
    )[:, None, None]
    shift = 0.09 * strength * uniform(-1, 1, 3 * count, generator).view(count, 3, 1)
    changed = chance(ranges.colors, count, generator)[:, None, None]
    return torch.where(changed, torch.cat([matrix, shift], dim=2), torch.eye(3, 4))


def _places(
    chances: Tensor, sizes: tuple[float, float], aspects: tuple[float, float], generator: Generator
) -> Tensor:
    """[N,6]: number, turn, half height, half width and middle of something laid over."""
    count = len(chances)
    number = torch.rand(count, generator=generator)
    there = torch.rand(count, generator=generator) < chances
    height = uniform(*sizes, count, generator)
    return torch.stack(
        [
            torch.where(there, number, -1.0),
            uniform(-0.5, 0.5, count, generator) * chance(0.3, count, generator),
            height,
            height * uniform(*aspects, count, generator),
            uniform(-0.85, 0.85, count, generator),
            uniform(-0.85, 0.85, count, generator),
        ],
        dim=1,
    )


# --- applying ------------------------------------------------------------------------------------


def trace(edits: Edits, *, side: int = TRACE_SIDE) -> Trace:
    """Which point of which picture shows where, overlays left out of account."""
    inside, is_front = _layers(edits, side)
    own_front = (edits.kind != REACTION)[:, None, None]
    layer = torch.where(is_front == own_front, 0, 1)
    layer = torch.where(is_front | edits.shows_guest[:, None, None], layer, NOBODY)
    front, back = (_points(matrix, side) for matrix in _maps(edits))
    points = torch.where(is_front[..., None], front, back)
    within = inside & (points.abs() <= 1).all(dim=-1)
    return Trace(layer=torch.where(within, layer, NOBODY), points=points)


def edited(
    frames: Tensor, guests: Tensor, edits: Edits, overlays: Overlays, *, size: int
) -> tuple[Tensor, Tensor]:
    """Edits frames uint8 [N,H,W,3], row by row, with guests of the same shape.

    Returns uint8 [N,size,size,3], and how much of each point is covered by overlays [N,size,size].
    """
    images = _composed(frames, guests, edits, size)
    images, hidden = _with_stickers(images, edits.sticker, overlays)
    images = _degraded(_colored(images, edits), edits)
    for line in range(edits.text.shape[1]):
        images, covered = _with_text(images, edits.text[:, line], overlays)
        hidden = torch.maximum(hidden, covered)
    levels = images.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
    result = levels.permute(0, 2, 3, 1).contiguous()
    return _with_jpeg(result, edits.jpeg), hidden


def _planes(frames: Tensor) -> Tensor:
    """uint8 [N,H,W,3] → float [N,3,H,W] in 0..1."""
    return frames.permute(0, 3, 1, 2).contiguous().float().mul_(1 / 255)


def _maps(edits: Edits) -> tuple[Tensor, Tensor]:
    """[N,3,3] from the view to the picture of the front layer, and of the back layer."""
    return (
        edits.front_warp @ _into(edits.front_box) @ edits.recut,
        edits.back_warp @ _into(edits.back_box) @ edits.recut,
    )


def _into(boxes: Tensor) -> Tensor:
    """[N,3,3] from the layout to coordinates of the boxes [N,4]."""
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    matrix = torch.diag_embed(torch.cat([1 / half, torch.ones_like(half[:, :1])], dim=1))
    matrix[:, :2, 2] = -(boxes[:, 2:] + boxes[:, :2]) / (2 * half)
    return matrix


def _points(maps: Tensor, side: int) -> Tensor:
    """Where side x side points of each view lie after projective maps [N,3,3]: [N,side,side,2]."""
    axis = (torch.arange(side, device=maps.device) * 2 + 1) / side - 1
    across = maps[:, :, :1] * axis
    down = maps[:, :, 1:2] * axis + maps[:, :, 2:]
    points = maps.new_empty(len(maps), side, side, 2)
    for place in range(2):
        torch.add(across[:, place, None], down[:, place, :, None], out=points[..., place])
    rows = (maps[:, 2, :2] != 0).any(dim=1).nonzero().flatten()
    if len(rows):
        depth = across[rows, 2, None] + down[rows, 2, :, None]
        points[rows] /= depth.clamp(min=0.2)[..., None]
    return points


def _layers(edits: Edits, side: int) -> tuple[Tensor, Tensor]:
    """Bool [N,side,side]: which points of the views lie in the layout, and in its front layer."""
    layout = _points(edits.recut, side)
    x, y = layout[..., 0], layout[..., 1]
    left, top, right, bottom = edits.front_box[:, :, None, None].unbind(dim=1)
    inside = (x.abs() <= 1) & (y.abs() <= 1)
    return inside, inside & (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


def _composed(frames: Tensor, guests: Tensor, edits: Edits, size: int) -> Tensor:
    """One resampling of the front layer, and one of the back where there is one."""
    front, back = _maps(edits)
    reaction = edits.kind == REACTION
    top = frames
    if reaction.any():
        top = torch.where(reaction[:, None, None, None], guests, frames)
    result = _sampled(_planes(top), _points(front, size), edits.reflect)
    recut = (edits.recut != torch.eye(3, device=front.device)).flatten(1).any(dim=1)
    rows = (recut | (edits.kind != PLAIN)).nonzero().flatten()
    if not len(rows):
        return result
    some = edits.take(rows)
    inside, is_front = _layers(some, size)
    layered = result[rows] * is_front[:, None]
    hole = (inside & ~is_front)[:, None]
    places = some.shows_guest.nonzero().flatten()
    if len(places):
        shown = rows[places]
        under = torch.where(reaction[shown, None, None, None], frames[shown], guests[shown])
        points = _points(back[shown], size)
        layered[places] += _sampled(_planes(under), points, some.reflect[places]) * hole[places]
    places = (some.kind == BARS).nonzero().flatten()
    if len(places):
        grounds = _grounds(_planes(frames[rows[places]]), some.ground[places], size)
        layered[places] += grounds * hole[places]
    result[rows] = layered
    return result


def _grounds(images: Tensor, colors: Tensor, size: int) -> Tensor:
    """Behind bars: one color, or the picture's own middle, enlarged and blurred."""
    edge = images.shape[-1] // 4
    middle = F.adaptive_avg_pool2d(images[..., edge:-edge, edge:-edge], 10)
    blurred = F.interpolate(middle, size=(size, size), mode="bicubic")
    blurred = blurred * (0.6 + 0.4 * colors.abs()[:, :1, None, None])
    return torch.where(
        (colors < 0).any(dim=1)[:, None, None, None], blurred, colors[..., None, None]
    )


def _sampled(images: Tensor, points: Tensor, reflect: Tensor) -> Tensor:
    """Images [N,3,H,W] at points [N,S,S,2], from a smaller copy where they shrink."""
    step = (points[:, 4::8, 5::8] - points[:, 4::8, 4::8]).norm(dim=-1).mean(dim=(1, 2))
    level = ((step * images.shape[-1] / 2).log2() + 0.4).floor().clamp(0, POOLS).int()
    result = images.new_empty(len(images), 3, *points.shape[1:3])
    pyramid = images
    for number in range(int(level.max()) + 1):
        pyramid = F.avg_pool2d(pyramid, 2) if number else pyramid
        for padding, chosen in (("zeros", ~reflect), ("reflection", reflect)):
            rows = ((level == number) & chosen).nonzero().flatten()
            if len(rows):
                result[rows] = F.grid_sample(
                    pyramid[rows], points[rows], padding_mode=padding, align_corners=False
                )
    return result


def _colored(images: Tensor, edits: Edits) -> Tensor:
    count, _, height, width = images.shape
    means = images.mean(dim=(2, 3))
    matrix = edits.color[:, :, :3] * edits.contrast[:, None, None]
    middle = torch.einsum("ncd,nd->nc", edits.color[:, :, :3], means).mean(dim=1, keepdim=True)
    shift = edits.color[:, :, 3] + (1 - edits.contrast[:, None]) * middle
    images = torch.baddbmm(shift[:, :, None], matrix, images.flatten(2)).view(
        count, 3, height, width
    )
    images = images.clamp_(0, 1)
    rows = (edits.gamma != 1).nonzero().flatten()
    if len(rows):
        images[rows] = images[rows].clamp(min=1e-4) ** edits.gamma[rows, None, None, None]
    return images


def _degraded(images: Tensor, edits: Edits) -> Tensor:
    """Loses resolution, sharpness, and gains noise."""
    size = images.shape[-1]
    for factor in LOSSES:
        rows = (edits.loss == factor).nonzero().flatten()
        if len(rows):
            small = F.avg_pool2d(images[rows], factor, ceil_mode=True)
            images[rows] = F.interpolate(small, size=(size, size), mode="bilinear")
    rows = (edits.blur > 0).nonzero().flatten()
    if len(rows):
        images[rows] = gaussian_blur(images[rows], edits.blur[rows])
    for row in (edits.noise > 0).nonzero().flatten().tolist():
        own = Generator().manual_seed(int(edits.seed[row]))
        noise = torch.randn(images[row].shape, generator=own).to(images.device)
        images[row] += noise * edits.noise[row]
    return images


def gaussian_blur(images: Tensor, deviations: Tensor) -> Tensor:
    """Each of the images [N,3,H,W] with its own standard deviation [N] in pixels."""
    axis = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=images.device)
    kernels = torch.exp(-0.5 * (axis / deviations[:, None]) ** 2)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    flat = F.pad(images, (BLUR_REACH,) * 4, mode="replicate").flatten(0, 1)[None]
    rows = F.conv2d(flat, kernels[:, None, None], groups=len(kernels))
    return F.conv2d(rows, kernels[:, None, :, None], groups=len(kernels)).view(images.shape)


def _with_stickers(images: Tensor, places: Tensor, overlays: Overlays) -> tuple[Tensor, Tensor]:
    pictures = overlays.stickers.transpose(0, 3, 1, 2)
    return _overlaid(images, places, pictures, lambda laid, _: (laid[:, :3], laid[:, 3:]))


def _with_text(images: Tensor, lines: Tensor, overlays: Overlays) -> tuple[Tensor, Tensor]:
    masks = overlays.texts[:, None]
    return _overlaid(images, lines, masks, lambda laid, line: (line[:, 6:, None, None], laid))


def _overlaid(
    images: Tensor,
    places: Tensor,
    parts: NDArray[np.uint8],
    inked: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """The images with one of the parts [K,C,h,w] laid over where a place wants it, and how much of
    each point it hides [N,S,S]. `inked` gives color and alpha of laid parts and their places."""
    hidden = images.new_zeros(len(images), *images.shape[2:])
    rows = (places[:, 0] >= 0).nonzero().flatten()
    if len(rows):
        chosen = (places[rows, 0] * len(parts)).long().cpu().numpy()
        laid = torch.from_numpy(np.ascontiguousarray(parts[chosen])).to(images.device).float() / 255
        color, alpha = inked(_laid(laid, places[rows], images.shape[-1]), places[rows])
        images[rows] = torch.lerp(images[rows], color, alpha)
        hidden[rows] = alpha[:, 0]
    return images, hidden


def _laid(parts: Tensor, places: Tensor, size: int) -> Tensor:
    """Parts [n,C,h,w] at their places on empty squares [n,C,size,size]."""
    _, turn, height, width, x, y = places[:, :6].unbind(dim=1)
    cosine, sine = turn.cos(), turn.sin()
    rows = [cosine / width, sine / width, -(cosine * x + sine * y) / width]
    rows += [-sine / height, cosine / height, (sine * x - cosine * y) / height]
    matrix = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, [len(parts), parts.shape[1], size, size], align_corners=False)
    return F.grid_sample(parts, grid, align_corners=False)


def _with_jpeg(frames: Tensor, qualities: Tensor) -> Tensor:
    """Frames uint8 [N,S,S,3] through a JPEG encoder where the quality is above 0."""
    rows = (qualities > 0).nonzero().flatten().tolist()
    if not rows:
        return frames
    encoded = [through_jpeg(frames[row].cpu().numpy(), quality=int(qualities[row])) for row in rows]
    frames[rows] = torch.from_numpy(np.stack(encoded)).to(frames.device)
    return frames


def through_jpeg(frame: NDArray[np.uint8], *, quality: int) -> NDArray[np.uint8]:
    """uint8 [H,W,3], encoded and decoded."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, content = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
    decoded = cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return np.asarray(decoded, np.uint8)
